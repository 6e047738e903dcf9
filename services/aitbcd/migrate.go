package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitbc/aitbc/services/coordinator"
	"github.com/aitbc/aitbc/services/internal/config"
)

// migrateTimeout bounds a migration, which may wait for another one.
const migrateTimeout = 10 * time.Minute

func newMigrate() *cobra.Command {
	c := coordinator.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables of the store up to date",
		Long: `Brings the tables of the store up to date and ends. A coordinator does so itself when it starts; this is for databases in
which its role may not change tables, and for doing it before the new program is rolled out.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), migrateTimeout)
			defer cancel()
			if err := coordinator.Migrate(ctx, c); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The store is up to date.")
			return nil
		},
	}
	f := cmd.Flags()
	config.AddFileFlag(f)
	f.StringVar(&c.StateDir, "state", defaultState(), "the coordinator's state folder")
	storeFlag(f, &c)
	return cmd
}

// storeFlag says where a coordinator's store is.
func storeFlag(f *pflag.FlagSet, c *coordinator.Config) {
	f.StringVar(&c.Store, "store", c.Store, "sqlite (a file in the state folder) or postgres://USER:PASSWORD@HOST/DATABASE")
}
