/** A pattern of SCAN as a regular expression. */
export function globbed(pattern: string): RegExp {
  const parts = pattern.matchAll(/\\([\s\S])|(\*)|(\?)|\[(\^?)([^\]]*)\]|([\s\S])/g)
  const text = [...parts].map(([, escaped, star, mark, not, set, other = '']) => {
    if (star !== undefined) return '[\\s\\S]*'
    if (mark !== undefined) return '[\\s\\S]'
    if (set !== undefined) return `[${not ?? ''}${set.replace(/[\\\]^]/g, '\\$&')}]`
    return (escaped ?? other).replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  })
  return new RegExp(`^${text.join('')}$`)
}
