/** Binary search in ascending numbers. */

/** @returns index of the first, from `start` on, that is not below another; `end` where all before it are */
export function firstAtOrAfter (ascending: ArrayLike<number>, wanted: number, start = 0, end = ascending.length): number {
  let low = start
  for (let high = end; low < high;) {
    const middle = (low + high) >>> 1
    if (ascending[middle] < wanted) low = middle + 1
    else high = middle
  }
  return low
}

/** @returns index of the last that is not above another; 0 where all are */
export function lastAtOrBefore (ascending: readonly number[], wanted: number): number {
  let low = 0
  for (let high = ascending.length; high - low > 1;) {
    const middle = (low + high) >>> 1
    if (ascending[middle] <= wanted) low = middle
    else high = middle
  }
  return low
}
