// Why something is refused. A code of a refusal goes into the receipt (docs/transfers.md#receipt).

/** A transfer that is refused: `receipted` says whether the sender gets a receipt with the code. */
export class Refused extends Error {
  constructor(code, message, receipted = true) {
    super(`${code}: ${message}`);
    this.code = code;
    this.receipted = receipted;
  }
}

/** The sender does not answer, or wrongly: another attempt may succeed. */
export class Unavailable extends Error {}

/** A token that proves nothing; `code` is one of docs/archive-format.md#checking. */
export class TokenFault extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** An archive that does not verify; `code` is one of docs/archive-format.md#checking. */
export class ArchiveFault extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}
