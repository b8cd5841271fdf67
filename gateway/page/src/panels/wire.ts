/** The one place where panels take the types of the gateway's answers from. */
export type { Fanout, NodeOutcome, NodeWarning, Refused, Series } from "../data/wire";
