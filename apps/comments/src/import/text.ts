import { compile } from 'html-to-text'

const convert = compile({
  wordwrap: false,
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    { selector: 'img', format: 'alternative' },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
    { selector: 'ul', options: { itemPrefix: '- ' } },
  ],
  formatters: {
    alternative: (element, _walk, builder) => {
      const alt: unknown = element.attribs?.alt
      builder.addInline(typeof alt === 'string' && alt !== '' ? `[picture: ${alt}]` : '[picture]')
    },
  },
})

/** What a post says, without its markup: the service shows and stores plain text. */
export function textOf(html: string): string {
  return convert(html).trim()
}
