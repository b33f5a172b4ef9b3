/**
 * `/runbook`: docs/runbook.md as a page, so that the dashboard can link to what to do about a fault, on any site. It is
 * written in a small part of Markdown: headings, paragraphs, tables, lists, indented code; code, bold and links within
 * a line.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../../docs/runbook.md', import.meta.url))

/** @param styleSheet its address */
export async function readRunbookPage (styleSheet: string): Promise<string> {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runbook · Relay</title>
<link rel="stylesheet" href="${styleSheet}">
</head>
<body class="text">
<main>
<p><a href="/operations">Back to Operations</a></p>
${renderMarkdown(await readFile(file, 'utf8'))}
</main>
</body>
</html>
`
}

export function renderMarkdown (markdown: string): string {
  const lines = markdown.replace(/<!--[^]*?-->/g, '').split('\n')
  const parts: string[] = []
  for (let at = 0; at < lines.length;) {
    const kind = kindOf(lines[at])
    let end = at + 1
    while (end < lines.length && goesOn(kind, lines, end)) end++
    parts.push(renderBlock(kind, lines.slice(at, end)))
    at = end
  }
  return parts.filter(it => it !== '').join('\n')
}

type Kind = 'blank' | 'heading' | 'code' | 'table' | 'bullets' | 'numbers' | 'paragraph'

const itemMarks = { bullets: /^- /, numbers: /^\d+\. / } as const

function kindOf (line: string): Kind {
  if (line.trim() === '') return 'blank'
  if (/^#{1,6} /.test(line)) return 'heading'
  if (line.startsWith('    ')) return 'code'
  if (line.startsWith('|')) return 'table'
  if (itemMarks.bullets.test(line)) return 'bullets'
  return itemMarks.numbers.test(line) ? 'numbers' : 'paragraph'
}

/** Whether a line belongs to the block before it. */
function goesOn (kind: Kind, lines: readonly string[], at: number): boolean {
  const next = kindOf(lines[at])
  if (kind === 'bullets' || kind === 'numbers') return next === kind || (next !== 'blank' && lines[at].startsWith('  '))
  return kind !== 'heading' && kind !== 'blank' && next === kind
}

function renderBlock (kind: Kind, lines: readonly string[]): string {
  switch (kind) {
    case 'blank': return ''
    case 'heading': return renderHeading(lines[0])
    case 'code': return `<pre tabindex="0"><code>${escape(lines.map(it => it.slice(4)).join('\n'))}</code></pre>`
    case 'table': return renderTable(lines)
    case 'bullets': return `<ul>${renderItems(lines, itemMarks.bullets)}</ul>`
    case 'numbers': return `<ol>${renderItems(lines, itemMarks.numbers)}</ol>`
    case 'paragraph': return `<p>${renderLine(lines.join(' '))}</p>`
  }
}

function renderHeading (line: string): string {
  const [, marks, text] = /^(#+) (.*)$/.exec(line)!
  // as code forges name anchors
  const id = text.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
  return `<h${marks.length} id="${id}">${renderLine(text)}</h${marks.length}>`
}

function renderTable ([head, , ...rows]: readonly string[]): string {
  const row = (line: string, cell: string) => {
    const cells = line.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/)
    return `<tr>${cells.map(it => `<${cell}>${renderLine(it.trim().replaceAll('\\|', '|'))}</${cell.split(' ')[0]}>`).join('')}</tr>`
  }
  return `<div class="scroll" tabindex="0"><table><thead>${row(head, 'th scope="col"')}</thead>` +
    `<tbody>${rows.map(it => row(it, 'td')).join('')}</tbody></table></div>`
}

function renderItems (lines: readonly string[], mark: RegExp): string {
  const items: string[] = []
  for (const line of lines) {
    if (mark.test(line)) items.push(line.replace(mark, ''))
    else items[items.length - 1] += ` ${line.trim()}`
  }
  return items.map(it => `<li>${renderLine(it)}</li>`).join('')
}

/** Code as it is; all else with its bold parts and its links. */
function renderLine (text: string): string {
  const codes: string[] = []
  const words = escape(text).replace(/`([^`]+)`/g, (_, code: string) => `\0${codes.push(code) - 1}\0`)
  return words
    .replace(/\*\*(.+?)\*\*/g, '<strong>$1</strong>')
    .replace(/(?<![\w*])\*(\S.*?)\*(?![\w*])/g, '<em>$1</em>')
    .replace(/\[([^[\]]+)\]\(([^()]*)\)/g, renderLink)
    .replace(/\0(\d+)\0/g, (_, number: string) => `<code>${codes[Number(number)]}</code>`)
}

/** Other pages of the documentation are not served: their names remain, and where they are. */
function renderLink (_: string, text: string, address: string): string {
  return /^(?:#|https:\/\/)/.test(address) ? `<a href="${address}">${text}</a>` : `${text} (docs/${address})`
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
