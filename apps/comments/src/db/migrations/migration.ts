/** One step of the schema. Once published it never changes; what is to be different comes in a new one. */
export interface Migration {
  readonly name: string
  /** Statements of SQL, run in one transaction with the note that they were run. */
  readonly sql: string
}
