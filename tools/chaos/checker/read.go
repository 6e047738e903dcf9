package checker

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// readTimeout bounds one read.
const readTimeout = 30 * time.Second

type account struct {
	Balance  string `json:"balance"`
	Operator string `json:"operator_id"`
}

type job struct {
	ID        string                   `json:"job_id"`
	Status    string                   `json:"status"`
	Phase     string                   `json:"phase"`
	Result    string                   `json:"result"`
	ReceiptID string                   `json:"receipt_id"`
	Cost      string                   `json:"cost"`
	MaxPrice  string                   `json:"max_price"`
	TxHash    string                   `json:"tx_hash"`
	Attempts  int                      `json:"attempts"`
	MinerID   string                   `json:"miner_id"`
	Error     *struct{ Reason string } `json:"error"`
	Refund    *struct{ Amount string } `json:"refund"`
}

// essence is what must not change after a job's end.
func (j job) essence() string {
	refund := ""
	if j.Refund != nil {
		refund = j.Refund.Amount
	}
	return fmt.Sprint(j.Status, " ", j.Cost, " ", refund, " ", j.ReceiptID, " ", len(j.Result))
}

type explanation struct {
	Steps []struct {
		Phase   string `json:"phase"`
		Outcome string `json:"outcome"`
		Attempt int    `json:"attempt"`
	} `json:"steps"`
}

type receipt struct {
	JobID       string  `json:"job_id"`
	AmountPaid  string  `json:"amount_paid"`
	ResultHash  string  `json:"result_hash"`
	TxHash      string  `json:"tx_hash"`
	BlockHeight float64 `json:"block_height"`
	Meter       struct {
		MeteredTime    float64 `json:"metered_time"`
		PricePerSecond string  `json:"price_per_second"`
		MaxPrice       string  `json:"max_price"`
	} `json:"meter"`
}

type jobPage struct {
	Jobs          []job  `json:"jobs"`
	NextPageToken string `json:"next_page_token"`
}

type minerPage struct {
	Miners []struct {
		ID string `json:"miner_id"`
	} `json:"miners"`
}

// statusError is an answer that is no success.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.code, e.body) }

func isNotFound(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == http.StatusNotFound
}

// get reads from a coordinator: from each in turn.
func (c *check) get(ctx context.Context, path string, into any) error {
	return read(ctx, c.REST[int(c.turn.Add(1))%len(c.REST)]+path, c.Key, into)
}

func read(ctx context.Context, address, key string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	if key != "" {
		request.Header.Set("X-Api-Key", key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("read %s: %w", address, &statusError{answer.StatusCode, string(body)})
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	return nil
}

// The ledger answers abci_query with protobuf messages. Of these the few fields that are wanted are
// picked by their numbers in proto/aitbc/ledger/v1.

// fields are a message's fields by number: the last one of each.
type fields struct {
	ints  map[protowire.Number]int64
	bytes map[protowire.Number][]byte
}

func parse(raw []byte) (fields, error) {
	f := fields{map[protowire.Number]int64{}, map[protowire.Number][]byte{}}
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return f, protowire.ParseError(n)
		}
		raw = raw[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(raw)
			if n < 0 {
				return f, protowire.ParseError(n)
			}
			f.ints[number], raw = int64(value), raw[n:]
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(raw)
			if n < 0 {
				return f, protowire.ParseError(n)
			}
			f.bytes[number], raw = value, raw[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, raw)
			if n < 0 {
				return f, protowire.ParseError(n)
			}
			raw = raw[n:]
		}
	}
	return f, nil
}

// message gives a field that is a message itself; false: it is not set.
func (f fields) message(number protowire.Number) (fields, bool, error) {
	raw, there := f.bytes[number]
	if !there {
		return fields{}, false, nil
	}
	inner, err := parse(raw)
	return inner, true, err
}

// ask calls a method of the ledger that reads.
func (c *check) ask(ctx context.Context, method string, request []byte) (fields, error) {
	query := url.Values{"path": {`"/aitbc.ledger.v1.LedgerService/` + method + `"`}, "data": {"0x" + hex.EncodeToString(request)}}
	var answer struct {
		Result struct {
			Response struct {
				Code  int    `json:"code"`
				Log   string `json:"log"`
				Value []byte `json:"value"`
			} `json:"response"`
		} `json:"result"`
	}
	if err := read(ctx, c.RPC+"/abci_query?"+query.Encode(), "", &answer); err != nil {
		return fields{}, err
	}
	if code := answer.Result.Response.Code; code != 0 {
		return fields{}, fmt.Errorf("%s: the ledger answers %d: %s", method, code, answer.Result.Response.Log)
	}
	return parse(answer.Result.Response.Value)
}

// settlement is how the ledger ended a job's escrow.
type settlement struct {
	open, there    bool
	paid, refunded int64
	receipt        bool
	tx             string
	height         int64
}

func (c *check) settlement(ctx context.Context, jobID, operator string) (settlement, error) {
	request := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), jobID)
	request = protowire.AppendString(protowire.AppendTag(request, 2, protowire.BytesType), operator)
	answer, err := c.ask(ctx, "GetJob", request)
	if err != nil {
		return settlement{}, err
	}
	var s settlement
	if _, s.open, err = answer.message(1); err != nil {
		return s, err
	}
	told, there, err := answer.message(2)
	if err != nil || !there {
		return s, err
	}
	s.there, s.paid, s.refunded, s.height = true, told.ints[5], told.ints[6], told.ints[7]
	s.tx = hex.EncodeToString(told.bytes[9])
	_, s.receipt, err = told.message(10)
	return s, err
}

// balance reads what an account has free.
func (c *check) balance(ctx context.Context, id string) (int64, error) {
	answer, err := c.ask(ctx, "GetAccount", protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), id))
	if err != nil {
		return 0, err
	}
	account, _, err := answer.message(1)
	return account.ints[2], err
}

type ledgerStatus struct{ total, parts, openEscrows, receipts, stakes, burned int64 }

func (c *check) ledgerStatus(ctx context.Context) (ledgerStatus, error) {
	answer, err := c.ask(ctx, "GetStatus", nil)
	if err != nil {
		return ledgerStatus{}, err
	}
	supply, _, err := answer.message(6)
	if err != nil {
		return ledgerStatus{}, err
	}
	s := ledgerStatus{
		total: supply.ints[1], openEscrows: answer.ints[8], receipts: answer.ints[9], stakes: supply.ints[4] + supply.ints[5], burned: supply.ints[6],
	}
	for number := protowire.Number(2); number <= 6; number++ {
		s.parts += supply.ints[number]
	}
	return s, nil
}
