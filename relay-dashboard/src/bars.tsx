interface BarsProps {
  readonly label: string
  readonly bars: readonly { readonly height: number; readonly text: string }[]
  readonly from: string
  readonly to: string
}

/** A chart of bars, each with a text. */
export function Bars ({ label, bars, from, to }: BarsProps) {
  const highest = Math.max(...bars.map(it => it.height)) || 1
  const width = 100 / bars.length
  return (
    <figure class='bars'>
      <svg viewBox='0 0 100 40' preserveAspectRatio='none' role='img' aria-label={label}>
        {bars.map(({ height, text }, place) => {
          const y = 40 - (height / highest) * 39
          return (
            <rect key={place} x={place * width + width * 0.08} y={y} width={width * 0.84} height={40 - y}>
              <title>{text}</title>
            </rect>
          )
        })}
      </svg>
      <figcaption>
        <span>{from}</span>
        <span>{to}</span>
      </figcaption>
    </figure>
  )
}
