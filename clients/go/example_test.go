package aitbc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

// connect starts a coordinator in memory and makes its client; yours is at http://127.0.0.1:18000, or
// 127.0.0.1:18002 by gRPC.
func connect(options ...aitbc.Option) (*aitbc.Client, func()) {
	server, err := aitbctest.Start(aitbctest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client, err := aitbc.New(server.Target(), append([]aitbc.Option{aitbc.WithAPIKey(aitbctest.APIKey)}, options...)...)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleNew() {
	client, err := aitbc.New("https://aitbc.example.com", aitbc.WithAPIKey("client_..."))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
}

func ExampleClient_Submit() {
	client, done := connect() // as ExampleNew does
	defer done()
	ctx := context.Background()

	submitted, err := client.Submit(ctx, aitbc.SubmitRequest{
		Prompt:    "What is machine learning?",
		Model:     "llama3.2:latest",
		MaxPrice:  aitbc.UnitsPerCoin / 2,
		RequestID: "question-17", // safe to submit again, also after a restart of this program
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(submitted.Status)
	job, err := client.Wait(ctx, submitted.JobID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Status, job.Cost)
	// Output:
	// pending
	// completed 0.25aitbc
}

func ExampleClient_Stream() {
	client, done := connect()
	defer done()

	request := aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"}
	for event, err := range client.Stream(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Kind {
		case aitbc.EventText:
			fmt.Print(event.Text)
		case aitbc.EventReset: // another miner begins anew: what was printed is void
			fmt.Println()
		case aitbc.EventDone:
			fmt.Println()
			fmt.Println(event.Job.Status)
		case aitbc.EventState: // queued, leased, running
		}
	}
	// Output:
	// Machine learning is a subset of artificial intelligence...
	// completed
}

func ExampleClient_Tokens() {
	client, done := connect()
	defer done()
	ctx := context.Background()
	submitted, err := client.Submit(ctx, aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"})
	if err != nil {
		log.Fatal(err)
	}
	for token, err := range client.Tokens(ctx, submitted.JobID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: Machine learning is a subset of artificial intelligence...
}

func ExampleClient_Jobs() {
	client, done := connect()
	defer done()
	ctx := context.Background()
	for range 3 {
		if _, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"}); err != nil {
			log.Fatal(err)
		}
	}
	var spent aitbc.Amount
	for job, err := range client.Jobs(ctx, aitbc.JobFilter{Status: aitbc.StatusCompleted, PageSize: 2}) { // page by page
		if err != nil {
			log.Fatal(err)
		}
		spent += job.Cost
	}
	fmt.Println(spent)
	// Output: 0.75aitbc
}

func ExampleClient_Quote() {
	client, done := connect()
	defer done()

	quote, err := client.Quote(context.Background(), aitbc.QuoteRequest{Model: "llama3.2:latest"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("possible:", quote.Possible)
	fmt.Println("at most", quote.MaxPrice)
	// Output:
	// possible: true
	// at most 6aitbc
}

func ExampleChat() {
	client, done := connect()
	defer done()

	chat := &aitbc.Chat{Messages: []aitbc.ChatMessage{
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "What is machine learning?"},
	}}
	job, err := client.Run(context.Background(), aitbc.SubmitRequest{Chat: chat, Model: "llama3.2:latest"})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := aitbc.ParseAnswer(job.Result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Role+":", answer.Content)
	chat.Messages = append(chat.Messages, answer) // the conversation goes on with the next question
	// Output: assistant: Machine learning is a subset of artificial intelligence...
}

func ExampleParseVectors() {
	client, done := connect()
	defer done()

	job, err := client.Run(context.Background(), aitbc.SubmitRequest{Input: []string{"A cat.", "A dog."}, Model: "all-minilm"})
	if err != nil {
		log.Fatal(err)
	}
	vectors, err := aitbc.ParseVectors(job.Result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), "vectors of", len(vectors[0]))
	// Output: 2 vectors of 2
}

// The account's own key authorises one job, up to a price. WithOrderKey does the same for every job.
func ExampleClient_SignOrder() {
	server, err := aitbctest.Start(aitbctest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := aitbc.New(server.URL(), aitbc.WithAPIKey(aitbctest.APIKey))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	key := server.AccountKey() // yours: aitbc.LoadKey("account.key")

	request := aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest", MaxPrice: aitbc.UnitsPerCoin}
	request, err = client.SignOrder(context.Background(), request, key)
	if err != nil {
		log.Fatal(err)
	}
	order := request.Order
	fmt.Println("up to", order.Order.MaxPrice)
	fmt.Println("signed:", aitbc.Verify(order.PublicKey, order.Order.SigningBytes(), order.Signature))
	job, err := client.Run(context.Background(), request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("paid", job.Cost)
	// Output:
	// up to 1aitbc
	// signed: true
	// paid 0.25aitbc
}

func ExampleWithObserver() {
	slow := func(ctx context.Context, method string, try int) (context.Context, func(error)) {
		began := time.Now()
		return ctx, func(err error) {
			if took := time.Since(began); took > time.Minute || err != nil {
				log.Print(method, " try ", try, " took ", took, ": ", err)
			}
		}
	}
	client, done := connect(aitbc.WithObserver(slow))
	defer done()
	models, err := client.Models(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(models[0].Name)
	// Output: llama3.2:latest
}

func ExampleClient_CreateKey() {
	server, err := aitbctest.Start(aitbctest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	admin, err := aitbc.New(server.URL(), aitbc.WithAPIKey(aitbctest.AdminKey))
	if err != nil {
		log.Fatal(err)
	}
	defer admin.Close()

	made, err := admin.CreateKey(context.Background(), aitbc.CreateKeyRequest{
		Name: "shop", Models: []string{"llama3.2:latest"}, SpendPerDay: 5 * aitbc.UnitsPerCoin, Life: 90 * 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.Key.Name, made.Key.Scope, made.Key.State, made.Key.SpendPerDay) // made.Secret is in this answer only
	// Output: shop client live 5aitbc
}

func ExampleClient_Run() {
	server, err := aitbctest.Start(aitbctest.Config{}) // yours is at http://127.0.0.1:18000
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := aitbc.New(server.URL(), aitbc.WithAPIKey("client_dev_key_1"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	job, err := client.Run(context.Background(), aitbc.SubmitRequest{
		Prompt: "What is machine learning?",
		Model:  "llama3.2:latest",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Result)
	fmt.Println("paid", job.Cost)
	// Output:
	// Machine learning is a subset of artificial intelligence...
	// paid 0.25aitbc
}

func ExampleError() {
	server, err := aitbctest.Start(aitbctest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := aitbc.New(server.Target(), aitbc.WithAPIKey("client_dev_key_1"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.Submit(context.Background(), aitbc.SubmitRequest{Model: "llama3.2:latest"})
	var failure *aitbc.Error
	if errors.As(err, &failure) && failure.Reason == aitbc.ReasonInvalidField {
		for _, f := range failure.Fields {
			fmt.Println("fault in", f.Field)
		}
	}
	// Output: fault in prompt
}

func ExampleVerifyReceipt() {
	server, err := aitbctest.Start(aitbctest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := aitbc.New(server.URL(), aitbc.WithAPIKey("client_dev_key_1"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx := context.Background()
	job, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := client.Receipt(ctx, job.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(aitbc.VerifyReceipt(receipt, []byte(job.Result)))
	fmt.Println(aitbc.VerifyReceipt(receipt, []byte(job.Result+"!")))
	// Output:
	// <nil>
	// the receipt does not check: not true of the result: has the receipt's hash
}
