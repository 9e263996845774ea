/** Preloaded into the processes of the local stack: they stop when the stack is gone, however it ended. */
process.channel?.unref();
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
