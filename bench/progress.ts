/** Tells whoever waits how far it is, on stderr: stdout is for the results. */
export type Progress = {
  /** A line that stays. */
  say(message: string): void;
  /** What is going on now: in a terminal one line that is written over, else a line each. */
  show(message: string): void;
};

/** Makes the progress of a terminal, or of a log. */
export function makeProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  const erase = stream.isTTY ? '\r\u001b[2K' : '';
  return {
    say: (message) => void stream.write(`${erase}${message}\n`),
    show: (message) => void stream.write(stream.isTTY ? `${erase}${message}` : `${message}\n`),
  };
}
