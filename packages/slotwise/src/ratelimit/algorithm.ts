/** The origin of the script's times, in microseconds since 1970: 2024-01-01, a Monday, so that weeks begin on Mondays too. */
export const EPOCH_US = 1_704_067_200_000_000

/** Where a tier stands at the moment of a decision. Times are in microseconds from then on. */
export interface Standing {
  /** May be below 0 where a limit has shrunk. */
  readonly remaining: number
  readonly resetUs: number
  /** Until so much could be taken. */
  waitUs(cost: number): number
}

/** What the script answered of one tier. */
export interface Part {
  readonly bytes: Buffer
  /** Where the part begins. */
  readonly at: number
  /** What is counted in it and was not taken. */
  readonly untaken: number
  /** What is counted in it and was taken. */
  readonly taken: number
  /** By the script's clock. */
  readonly nowUs: number
  /** Where the moments of its list begin. */
  readonly momentsAt: number
}

/** How a tier counts: the half that decide.lua does not do. */
export interface Algorithm {
  /** What decide.lua calls it. */
  readonly code: number
  /** Microseconds: of a token, of a window, of a lease. */
  readonly width: number
  /** Below 2^24; what it is depends on the code. */
  readonly unit: number
  /** How long its part of a record is. */
  readonly partBytes: 8 | 16
  /** A record of a tier with another one is not read as this one's. */
  readonly identity: string
  /** Whether it keeps a list, of which the script tells four moments. */
  readonly hasList: boolean
  /** Of a window of the calendar: where the one at this moment begins and ends, and where the next ends, by the script's clock. */
  readonly calendar?: ((nowUs: number) => CalendarWindows) | undefined
  standing(part: Part): Standing
}

/** Two windows in a row, in microseconds by the script's clock. */
export interface CalendarWindows {
  readonly from: number
  readonly to: number
  readonly next: number
}
