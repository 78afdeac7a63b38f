package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/mapper"
)

func tablesCommand() *cobra.Command {
	group := &cobra.Command{Use: "tables", Short: "check detector tables"}
	sarif := false
	lint := &cobra.Command{Use: "lint [DIR]", Short: "check a directory of detector tables; without one, those that ship", Args: cobra.MaximumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
		if err != nil {
			return err
		}
		dir := config.Detectors()
		if len(args) == 1 {
			dir = os.DirFS(args[0])
		}
		problems := mapper.LintTables(dir, taxonomy)
		if sarif {
			raw, err := mapper.SARIF(problems)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\n", raw)
		} else {
			for _, p := range problems {
				fmt.Fprintln(c.OutOrStdout(), p)
			}
		}
		if len(problems) > 0 {
			return errors.New("the tables have problems")
		}
		return nil
	}}
	lint.Flags().BoolVar(&sarif, "sarif", false, "print SARIF 2.1.0")
	group.AddCommand(lint)
	return group
}
