// Package receipt makes the receipts of decisions, keeps them as the events of the audit, signs them, and judges them
// again under other policies.
//
// The event that the chain commits to is the receipt's JSON, and those bytes are what is signed, in a DSSE envelope:
//
//	signature = Ed25519("DSSEv1 " | length of type | " " | type | " " | length of payload | " " | payload)
//
// An Ed25519 signature is the same each time, so it is made when a receipt is read and need not be kept. Between its
// making and that moment the audit holds the bytes: they are sealed, and their leaf is in the tenant's chain.
package receipt
