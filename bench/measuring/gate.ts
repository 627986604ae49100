/** What somebody waits for until somebody else opens it. */
export class Gate {
  open = (): void => {}
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve
  })
}
