/** Index of the last of ascending numbers that is not above another. */
export function lastAtOrBefore (ascending: readonly number[], wanted: number): number {
  let low = 0
  let high = ascending.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (ascending[middle] <= wanted) low = middle
    else high = middle
  }
  return low
}
