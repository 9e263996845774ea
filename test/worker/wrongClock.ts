/** Preloaded into a worker whose machine has a wrong clock: it is TEST_CLOCK_MS ahead, or behind. */

const aheadMs = Number(process.env.TEST_CLOCK_MS);
const RightDate = Date;

class WrongDate extends RightDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(WrongDate.now());
    else super(...(args as [number]));
  }

  static override now(): number {
    return RightDate.now() + aheadMs;
  }
}

globalThis.Date = WrongDate as DateConstructor;
