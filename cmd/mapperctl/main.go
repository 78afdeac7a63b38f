// Command mapperctl is the operator's tool: checkpoints, keys, schemas, the audit.
//
//	mapperctl checkpoint eval checkpoints/mapper-tiny --html report.html
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mapperctl:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "mapperctl", Short: "operate llama-mapper", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(checkpointCommand(), keysCommand(), tenantsCommand(), migrateCommand(), auditCommand(), configCommand(), tablesCommand(), mapCommand(), remapCommand(), policyCommand(), receiptCommand())
	return root
}
