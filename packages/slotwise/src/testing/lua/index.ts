/**
 * Lua as Redis runs it, as far as scripts here use it: what their twins are written with.
 *
 * @internal
 */

export { exactText } from './format.js'
export * from './library.js'
export { pack, unpackStruct } from './struct.js'
export type { ScriptContext, Twin } from './twin.js'
export * from './values.js'
