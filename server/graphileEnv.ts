// Grafast reads this once, when it is loaded, and warns on the console where it is
// unset. Its development mode plans slowly and prints what callers send, so it is
// for whoever works on plugins to switch on. Import this first.
process.env.GRAPHILE_ENV ??= 'production';
