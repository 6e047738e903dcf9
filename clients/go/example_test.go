package aitbc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

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
