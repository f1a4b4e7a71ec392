"""From a request to an answer: intake, the state machine of exports, approvals, policy, and the request log."""
