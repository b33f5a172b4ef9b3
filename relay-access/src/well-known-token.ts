/** The token of the local stack and compose. It is in the documentation, so it is not a secret. */
export const WELL_KNOWN_TOKEN = 'supermetrics-api-token-2024'
