package verify_test

import (
	"context"
	"fmt"
	"log"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
	"github.com/aitbc/aitbc/clients/go/verify"
	"github.com/aitbc/aitbc/clients/go/verify/verifytest"
)

func ExampleProve() {
	ctx := context.Background()
	server, err := aitbctest.Start(aitbctest.Config{}) // yours is a real coordinator
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := aitbc.New(server.URL(), aitbc.WithAPIKey(aitbctest.APIKey))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	job, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := client.Receipt(ctx, job.ID)
	if err != nil {
		log.Fatal(err)
	}
	node := ledgerWith(receipt) // yours: aitbc.NewLedger("127.0.0.1:18003"), any node of the ledger

	bundle, err := verify.Prove(ctx, node, receipt, []byte(job.Result), verify.At{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the ledger holds it:", bundle.Receipt.Paid)
	_, err = verify.Prove(ctx, node, receipt, []byte("another answer"), verify.At{})
	fmt.Println("another answer:", err != nil)
	// Output:
	// the ledger holds it: 0.25aitbc
	// another answer: true
}

func ledgerWith(receipt *aitbc.Receipt) verify.Prover {
	order, err := aitbc.ParseOrder(receipt.Evidence.Order)
	if err != nil {
		log.Fatal(err)
	}
	chain := verifytest.NewChain(order.ChainID, 4, nil)
	if err := chain.Add(receipt); err != nil {
		log.Fatal(err)
	}
	chain.Mine()
	return chain
}
