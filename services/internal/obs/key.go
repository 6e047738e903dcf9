package obs

// Attribute keys, the same words in every service's log.
const (
	KeyService   = "service"
	KeyRequestID = "request_id"
	KeyMethod    = "method"
	KeyCode      = "code"
	KeyReason    = "reason"
	KeyDuration  = "duration"
	KeyPeer      = "peer"
	KeyKeyID     = "key_id"
	KeyAccountID = "account_id"
	KeyMinerID   = "miner_id"
	KeyJobID     = "job_id"
	KeyLeaseID   = "lease_id"
	KeyReceiptID = "receipt_id"
	KeySessionID = "session_id"
	KeyAttempt   = "attempt"
	KeyModel     = "model"
	KeyDevice    = "device"
	KeyHeight    = "height"
	KeyTxHash    = "tx_hash"
	KeyAddr      = "addr"
	KeyError     = "error"
)
