package state

import (
	"crypto/ed25519"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// MaxValidators bounds the validators.
	MaxValidators = 100
	// MaxValidatorPower bounds the power of each, so that no sum comes near CometBFT's own limit.
	MaxValidatorPower = 1_000_000_000_000
)

// Validator is who makes blocks: a consensus key, which is no account's, and its power.
type Validator struct {
	PublicKey ed25519.PublicKey
	// Power is 0 in an update that takes it away.
	Power int64
}

func (b *Block) mustBeAuthority(signer aitbc.AccountID) *refusal {
	if authority := b.base.info.Authority; authority == (aitbc.AccountID{}) || signer != authority {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_AUTHORITY, "account %s is not the ledger's authority", signer)
	}
	return nil
}

// updateParams changes the stored parameters; those of the block in the making stay.
func (b *Block) updateParams(signer aitbc.AccountID, m *ledgerv1.UpdateParams) *refusal {
	if no := b.mustBeAuthority(signer); no != nil {
		return no
	}
	before, _ := load(b.entries, string(keyParams), readParams)
	after := before.with(m)
	if err := after.Validate(); err != nil {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_PARAMS, "%v", err)
	}
	if after.RulesVersion != before.RulesVersion && after.RulesVersion != b.base.params.RulesVersion+1 {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_PARAMS, "rules_version is %d, only %d can follow", after.RulesVersion, b.base.params.RulesVersion+1)
	}
	b.put(string(keyParams), after.encode())
	return nil
}

// with gives the parameters with those changed that the message sets.
func (p Params) with(m *ledgerv1.UpdateParams) Params {
	amounts := []struct {
		to   *aitbc.Amount
		from *int64
	}{
		{&p.DefaultPrice, m.DefaultPriceUaitbc}, {&p.MinPrice, m.MinPriceUaitbc}, {&p.MaxPrice, m.MaxPriceUaitbc}, //nolint:protogetter // nil: not set
		{&p.MinStake, m.MinStakeUaitbc}, {&p.DustLimit, m.DustLimitUaitbc}, //nolint:protogetter // as above
	}
	for _, a := range amounts {
		if a.from != nil {
			*a.to = aitbc.Amount(*a.from)
		}
	}
	set(&p.MinGraceUS, m.MinGraceUs)                   //nolint:protogetter // nil: not set
	set(&p.MaxSettleAheadUS, m.MaxSettleAheadUs)       //nolint:protogetter // as above
	set(&p.RefundWindowUS, m.RefundWindowUs)           //nolint:protogetter // as above
	set(&p.MaxExpiryAheadUS, m.MaxExpiryAheadUs)       //nolint:protogetter // as above
	set(&p.MaxBlockGapUS, m.MaxBlockGapUs)             //nolint:protogetter // as above
	set(&p.MaxExpiriesPerBlock, m.MaxExpiriesPerBlock) //nolint:protogetter // as above
	set(&p.FeeBps, m.FeeBps)                           //nolint:protogetter // as above
	set(&p.UnbondingUS, m.UnbondingUs)                 //nolint:protogetter // as above
	set(&p.RulesVersion, m.RulesVersion)               //nolint:protogetter // as above
	return p
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (b *Block) updateValidators(signer aitbc.AccountID, m *ledgerv1.UpdateValidators) *refusal {
	if no := b.mustBeAuthority(signer); no != nil {
		return no
	}
	if n := len(m.GetUpdates()); n == 0 || n > MaxValidators {
		return malformed("%d updates, want 1 to %d", n, MaxValidators)
	}
	bad := func(format string, args ...any) *refusal {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_VALIDATORS, format, args...)
	}
	seen := make(map[string]bool, len(m.GetUpdates()))
	for _, u := range m.GetUpdates() {
		key := validatorKey(u.GetPublicKey())
		_, there := b.entries.Get(key)
		switch {
		case len(u.GetPublicKey()) != ed25519.PublicKeySize:
			return malformed("public_key has %d bytes, want %d", len(u.GetPublicKey()), ed25519.PublicKeySize)
		case u.GetPower() < 0 || u.GetPower() > MaxValidatorPower:
			return bad("power is %d, want 0 to %d", u.GetPower(), int64(MaxValidatorPower))
		case seen[key]:
			return bad("validator %x is changed twice", u.GetPublicKey())
		case u.GetPower() == 0 && !there:
			return bad("validator %x is not there", u.GetPublicKey())
		case u.GetPower() == 0:
			b.remove(key)
		default:
			b.put(key, encodeInt(u.GetPower()))
		}
		seen[key] = true
	}
	if n := len(first(b.entries, keyValid, string([]byte{keyValid + 1}), MaxValidators+1)); n == 0 || n > MaxValidators {
		return bad("%d validators would be left, want 1 to %d", n, MaxValidators)
	}
	return nil
}

// validatorUpdates picks out of a block's writes what consensus must know.
func (b *Block) validatorUpdates(writes []Write) []Validator {
	var updates []Validator
	for _, w := range writes {
		before, there := b.base.entries.Get(w.Key)
		if w.Key[0] != keyValid || (w.Value == nil && !there) || (there && string(before) == string(w.Value)) {
			continue // a validator that came and went within the block was never there
		}
		v := Validator{PublicKey: ed25519.PublicKey(w.Key[1:])}
		if w.Value != nil {
			v.Power = (&reader{rest: w.Value}).int64()
		}
		updates = append(updates, v)
	}
	return updates
}

// Validators gives who makes blocks by the state, in the order of their keys. Consensus follows it
// two blocks later.
func (s *State) Validators() []Validator {
	var list []Validator
	for _, key := range first(s.entries, keyValid, string([]byte{keyValid + 1}), MaxValidators) {
		power, _ := load(s.entries, key, (*reader).int64)
		list = append(list, Validator{PublicKey: ed25519.PublicKey(key[1:]), Power: power})
	}
	return list
}
