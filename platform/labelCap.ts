const longest = 100;

/** The value to use as a label; `other` where it is not admitted. */
type LabelCap = (value: string, mayBeNew?: boolean) => string;

/**
 * Keeps the values of a metric label few: the first `max` that come are
 * admitted, later ones are `other`, as are values of more than 100 characters.
 */
export function makeLabelCap(max: number): LabelCap {
  const admitted = new Set<string>();
  return (value, mayBeNew = true) => {
    if (admitted.has(value)) return value;
    if (!mayBeNew || admitted.size >= max || value.length > longest) return 'other';
    admitted.add(value);
    return value;
  };
}
