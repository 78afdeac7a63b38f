package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
)

// audited are the services that keep events.
var audited = []string{"mapper", "orchestration"}

func auditCommand() *cobra.Command {
	var s settings
	var service string
	group := &cobra.Command{Use: "audit", Short: "export a tenant's events, and verify an export"}
	s.flag(group)
	group.PersistentFlags().StringVar(&service, "service", "mapper", "whose events: "+strings.Join(audited, " or ")+"; both sign with one key")
	group.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(audited, service) {
			return fmt.Errorf("--service must be %s", strings.Join(audited, " or "))
		}
		return nil
	}
	group.AddCommand(exportAudit(&s, &service), verifyAudit(), auditKey(&s))
	return group
}

func exportAudit(s *settings, service *string) *cobra.Command {
	return &cobra.Command{Use: "export TENANT", Short: "write a tenant's chain of events to standard output, a JSON object a line", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.withFeed(c.Context(), *service, args[0], func(feed *audit.Feed, t *access.Tenant) error {
			out := bufio.NewWriter(c.OutOrStdout())
			enc := json.NewEncoder(out)
			err := feed.Export(c.Context(), t, func(l audit.Line) error { return enc.Encode(l) })
			return errors.Join(err, out.Flush())
		})
	}}
}

func verifyAudit() *cobra.Command {
	var key string
	c := &cobra.Command{Use: "verify FILE", Short: "check that an export is whole and unchanged; needs no server", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		public, err := publicKey(key)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		r, err := audit.Verify(f, public)
		if err != nil {
			return fmt.Errorf("NOT valid: %w", err)
		}
		fmt.Fprintf(c.OutOrStdout(), "valid: tenant %s, events %d to %d, %d of them readable; %d signed heads, %d events behind the last\n",
			r.Tenant, r.First, r.Last, r.Opened, r.Signed, r.Unsigned)
		return nil
	}}
	c.Flags().StringVar(&key, "key", "", "the public key of the signatures, in base64")
	_ = c.MarkFlagRequired("key") // it is there
	return c
}

// publicKey reads the flag --key.
func publicKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("--key must be what `mapperctl audit key` prints")
	}
	return key, nil
}

func auditKey(s *settings) *cobra.Command {
	return &cobra.Command{Use: "key", Short: "print the public key of the signatures", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		conf, err := config.Load(s.path)
		if err != nil {
			return err
		}
		secrets, err := access.NewSecrets(conf)
		if err != nil {
			return err
		}
		public, ok := secrets.Signing.Public().(ed25519.PublicKey)
		if !ok {
			return errors.New("the key is not of Ed25519")
		}
		fmt.Fprintln(c.OutOrStdout(), base64.StdEncoding.EncodeToString(public))
		return nil
	}}
}
