package main

import "github.com/spf13/cobra"

func newKeys() *cobra.Command {
	return &cobra.Command{Use: "keys", Short: "Make, list and revoke API keys"}
}
