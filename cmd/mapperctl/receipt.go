package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/receipt"
)

func receiptCommand() *cobra.Command {
	group := &cobra.Command{Use: "receipt", Short: "verify and show receipts of decisions, without a server", Long: "FILE is an envelope as GET /api/v1/receipts/{id} answers it; - reads it from standard input."}
	group.AddCommand(verifyReceipt(), showReceipt())
	return group
}

func verifyReceipt() *cobra.Command {
	var key string
	c := &cobra.Command{Use: "verify FILE", Short: "check that a receipt is unchanged and signed by a key, and print what it says", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		public, err := publicKey(key)
		if err != nil {
			return err
		}
		raw, err := readEnvelope(c, args[0])
		if err != nil {
			return err
		}
		e, err := receipt.Verify(raw, public)
		if err != nil {
			return fmt.Errorf("NOT valid: %w", err)
		}
		fmt.Fprintln(c.OutOrStdout(), "valid")
		return printReceipt(c, e)
	}}
	c.Flags().StringVar(&key, "key", "", "the public key of the signatures, in base64")
	_ = c.MarkFlagRequired("key") // it is there
	return c
}

func showReceipt() *cobra.Command {
	return &cobra.Command{Use: "show FILE", Short: "print what a receipt says, without checking it", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		raw, err := readEnvelope(c, args[0])
		if err != nil {
			return err
		}
		e, err := receipt.Open(raw)
		if err != nil {
			return err
		}
		return printReceipt(c, e)
	}}
}

// readEnvelope reads a file, or standard input for -.
func readEnvelope(c *cobra.Command, path string) ([]byte, error) {
	in := c.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, receipt.MaxEnvelope+1))
}

func printReceipt(c *cobra.Command, e api.Envelope) error {
	var text bytes.Buffer
	if err := json.Indent(&text, e.Payload, "", "  "); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), text.String())
	return nil
}
