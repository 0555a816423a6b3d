/** Words about the invitation by which some relays make accounts: the relay's operator gives it, not a friend. */
import type { ErrorCode } from "../backend";

export const invitationLabel = "Invitation from the operator";
export const invitationHint = "22 characters, from whoever runs this relay.";

/** Whether an error is about the invitation, and told beside its field. */
export function isAboutInvitation(code: ErrorCode): boolean {
  return code === "invitationNeeded" || code === "invitationRefused" || code === "invalidInvitation";
}
