//go:build drill

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// startReplica starts a service with a state directory of its own.
func startReplica(t *testing.T) *processtest.Child {
	t.Helper()
	return processtest.Spawn(t, "orchestration", nil, config.Prefix+"STATE_DIR="+t.TempDir())
}

// TestDrillKillTasks kills one of two replicas with 1,000 requests in the background: each ends once, and has one receipt.
func TestDrillKillTasks(t *testing.T) {
	const tasks = 1000
	k := processtest.Key(t, processtest.Store(t), "me", "admin")
	t.Setenv(config.Prefix+"ACCESS__MASTER_KEY", masterKey(t))
	t.Setenv(config.Prefix+"MAPPER_URL", processtest.Serve(t, "mapper", tablesOnly).Base)
	first, second := startReplica(t), startReplica(t)
	ids := make([]string, tasks)
	for i := range ids {
		var task api.Task
		if status := first.Do(t, http.MethodPost, "/api/v1/orchestrate", k, fmt.Sprintf(`{"content":"mail jane.%d@example.com","processing_mode":"async"}`, i), &task); status != http.StatusAccepted {
			t.Fatal(status)
		}
		ids[i] = task.ID
	}
	done := func(id string) (task api.Task) {
		second.Do(t, http.MethodGet, "/api/v1/orchestrate/status/"+id, k, "", &task)
		return task
	}
	first.Kill()
	killed, ended := time.Now(), 0
	receipts := map[string]bool{}
	for _, id := range ids {
		if at := done(id).FinishedAt; at != nil && at.Before(killed) {
			ended++
		}
		processtest.Until(t, "ended", func() bool { return done(id).FinishedAt != nil })
		task := done(id)
		if task.State != api.TaskCompleted {
			t.Errorf("%s: %s %v", id, task.State, task.Error)
		}
		receipts[task.ReceiptID] = true
	}
	t.Logf("%d of %d had ended at the kill, all %v later", ended, tasks, time.Since(killed).Round(time.Millisecond))
	kept := 0
	for after, next := "", "0"; after != next; {
		var page api.ReceiptsResponse
		after = next
		if status := second.Do(t, http.MethodGet, "/api/v1/receipts?limit=200&after="+after, k, "", &page); status != http.StatusOK {
			t.Fatal(status)
		}
		for _, raw := range page.Receipts {
			var r api.Receipt
			if err := json.Unmarshal(raw, &r); err != nil || !receipts[r.ID] {
				t.Errorf("a receipt of no task: %v", err)
			}
			kept++
		}
		next = page.Next
	}
	if len(receipts) != tasks || kept != tasks {
		t.Errorf("%d receipts of tasks, %d kept", len(receipts), kept)
	}
}

// masterKey is the one that the state directory has, for replicas with directories of their own.
func masterKey(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(processtest.Settings(t).StateDir + "/master.key")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
