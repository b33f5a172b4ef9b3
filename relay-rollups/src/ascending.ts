/** Binary search in ascending numbers. */

/** @returns index of the first number at or above `wanted`, from `start`; `end` if all are below */
export function firstAtOrAfter (
  ascending: ArrayLike<number>, wanted: number, start = 0, end = ascending.length
): number {
  let low = start
  for (let high = end; low < high;) {
    const middle = (low + high) >>> 1
    if (ascending[middle] < wanted) low = middle + 1
    else high = middle
  }
  return low
}

/** @returns index of the last number at or below `wanted`; 0 if all are above */
export function lastAtOrBefore (ascending: readonly number[], wanted: number): number {
  let low = 0
  for (let high = ascending.length; high - low > 1;) {
    const middle = (low + high) >>> 1
    if (ascending[middle] <= wanted) low = middle
    else high = middle
  }
  return low
}
