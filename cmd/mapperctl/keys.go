package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/services/access"
)

func keysCommand() *cobra.Command {
	var s settings
	var tenant string
	group := &cobra.Command{Use: "keys", Short: "make, show and end the API keys of a tenant"}
	s.flag(group)
	group.PersistentFlags().StringVar(&tenant, "tenant", "", "whose keys")
	_ = group.MarkPersistentFlagRequired("tenant") // it is there
	group.AddCommand(createKey(&s, &tenant), listKeys(&s, &tenant), rotateKey(&s, &tenant), revokeKey(&s, &tenant))
	return group
}

func createKey(s *settings, tenant *string) *cobra.Command {
	var n access.NewKey
	var days int
	c := &cobra.Command{Use: "create", Short: "make a key and print it, this once; a new tenant is made too", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		n.Expires = time.Duration(days) * 24 * time.Hour
		return s.withStore(func(store *access.Store) error {
			made, err := store.EnsureTenant(c.Context(), *tenant)
			if err != nil {
				return err
			}
			if made {
				fmt.Fprintf(c.ErrOrStderr(), "made the tenant %s\n", *tenant)
			}
			key, k, err := store.CreateKey(c.Context(), *tenant, n)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "made the key %s: %s of %s, %s\n", k.ID, k.Role, k.Tenant, strings.Join(k.Scopes, " "))
			fmt.Fprintln(c.OutOrStdout(), key)
			return nil
		})
	}}
	c.Flags().StringVar(&n.Role, "role", "operator", "viewer, operator or admin")
	c.Flags().StringVar(&n.Name, "name", "", "what it is for")
	c.Flags().StringSliceVar(&n.Scopes, "scopes", nil, "some of the role's scopes; none means all")
	c.Flags().IntVar(&days, "days", 0, "until it expires; 0: never")
	return c
}

func listKeys(s *settings, tenant *string) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "show a tenant's keys", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return s.withStore(func(store *access.Store) error {
			keys, err := store.Keys(c.Context(), *tenant)
			if err != nil {
				return err
			}
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "id\trole\tscopes\tstate\tlast used\tname")
			for _, k := range keys {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Role, strings.Join(k.Scopes, " "), state(k), moment(k.LastUsedAt), k.Name)
			}
			return t.Flush()
		})
	}}
}

func state(k *access.Key) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + moment(k.RevokedAt)
	case k.ExpiresAt != nil && time.Now().After(*k.ExpiresAt):
		return "expired " + moment(k.ExpiresAt)
	case k.ExpiresAt != nil:
		return "until " + moment(k.ExpiresAt)
	}
	return "valid"
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

func rotateKey(s *settings, tenant *string) *cobra.Command {
	var grace time.Duration
	c := &cobra.Command{Use: "rotate ID", Short: "make a key with the same rights and print it; the old one goes on for a while", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.withStore(func(store *access.Store) error {
			key, _, err := store.Rotate(c.Context(), *tenant, args[0], grace)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), key)
			}
			return err
		})
	}}
	c.Flags().DurationVar(&grace, "grace", 24*time.Hour, "how long the old key goes on")
	return c
}

func revokeKey(s *settings, tenant *string) *cobra.Command {
	return &cobra.Command{Use: "revoke ID", Short: "end a key; services follow within 5 seconds", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return s.withStore(func(store *access.Store) error { return store.Revoke(c.Context(), *tenant, args[0]) })
	}}
}

func tenantsCommand() *cobra.Command {
	var s settings
	group := &cobra.Command{Use: "tenants", Short: "set limits and retention of tenants, and delete them"}
	s.flag(group)
	group.AddCommand(setTenant(&s), deleteTenant(&s))
	return group
}

func setTenant(s *settings) *cobra.Command {
	var key, all, days int
	var thresholds map[string]string
	c := &cobra.Command{Use: "set TENANT", Short: "replace a tenant's settings; what is not given goes back to the services' default", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		var to access.Settings
		for flag, at := range map[string]struct {
			to *(*int)
			v  *int
		}{"key-limit": {&to.KeyLimit, &key}, "tenant-limit": {&to.TenantLimit, &all}, "retention-days": {&to.RetentionDays, &days}} {
			if c.Flags().Changed(flag) {
				*at.to = at.v
			}
		}
		for name, text := range thresholds {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("--threshold %s: %q is no number", name, text)
			}
			if to.Thresholds == nil {
				to.Thresholds = map[string]float64{}
			}
			to.Thresholds[name] = v
		}
		return s.withStore(func(store *access.Store) error { return store.Set(c.Context(), args[0], to) })
	}}
	c.Flags().StringToStringVar(&thresholds, "threshold", nil, "detector=0.7, detector/LABEL=0.7 or */LABEL=0.7; confidence below which an answer is OTHER.Unknown")
	c.Flags().IntVar(&key, "key-limit", 0, "requests a minute of one key; 0: no limit")
	c.Flags().IntVar(&all, "tenant-limit", 0, "requests a minute of all keys together; 0: no limit")
	c.Flags().IntVar(&days, "retention-days", 0, "how long events are kept; 0: for ever")
	return c
}

func deleteTenant(s *settings) *cobra.Command {
	var sure bool
	c := &cobra.Command{Use: "delete TENANT", Short: "end a tenant's keys and destroy its data key, without which its audit cannot be read; services delete all else that they keep about it", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		if !sure {
			return errors.New("this cannot be taken back; say --yes")
		}
		return s.withStore(func(store *access.Store) error { return store.Delete(c.Context(), args[0]) })
	}}
	c.Flags().BoolVar(&sure, "yes", false, "it is meant")
	return c
}
