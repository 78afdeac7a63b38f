//go:build llama

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

func TestMain(m *testing.M) { processtest.Program(m, "mapper", main) }

// startProcess starts a mapper of its own, which can be killed.
func startProcess(t *testing.T, model string, logs *os.File) *processtest.Child {
	t.Helper()
	return processtest.Spawn(t, "mapper", logs, "LLAMA_MAPPER_MODEL__MODEL_PATH="+model)
}

// nextVersion copies the shipped checkpoint under the version "next".
func nextVersion(t *testing.T, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "next")
	if err := os.CopyFS(dir, os.DirFS("checkpoints/mapper-tiny")); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "manifest.yaml")
	raw, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(strings.Replace(string(raw), "version: "+version, "version: next", 1))
	if err := os.WriteFile(manifest, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// activeStore is a store with the shipped checkpoint as its active version.
func activeStore(t *testing.T) (dir string, active *checkpoint.Checkpoint) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	store, err := checkpoint.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if active, err = store.Install("checkpoints/mapper-tiny"); err != nil {
		t.Fatal(err)
	}
	if err := store.Activate(active.ID(), "activate", func(*checkpoint.Checkpoint) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return dir, active
}

func send(dir string, c control.Command) (control.Reply, error) {
	return control.Send(context.Background(), filepath.Join(dir, control.Socket), c)
}

// Whenever the mapper is killed during an activation, the next start serves the version that was active before.
func TestKilledDuringActivation(t *testing.T) {
	processtest.Store(t)
	dir, active := activeStore(t)
	next := control.Command{Action: "activate", Dir: nextVersion(t, active.Version), Margin: 1}
	for name, made := range map[string]string{"while it is copied": ".new", "while it is tried": "mapper-tiny@next"} {
		t.Run(name, func(t *testing.T) {
			p := startProcess(t, dir, nil)
			failed := make(chan error, 1)
			go func() {
				_, err := send(dir, next)
				failed <- err
			}()
			made := filepath.Join(dir, "versions", made)
			for deadline := time.Now().Add(time.Minute); ; {
				if _, err := os.Stat(made); err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the moment did not come")
				}
			}
			p.Kill()
			if err := <-failed; err == nil {
				t.Fatal("it was activated before it was killed")
			}
			startProcess(t, dir, nil)
			if reply, err := send(dir, control.Command{Action: "status"}); err != nil || reply.Active != active.ID() {
				t.Errorf("%+v %v", reply, err)
			}
			if err := os.RemoveAll(made); err != nil {
				t.Error(err)
			}
		})
	}
	p := startProcess(t, dir, nil)
	if _, err := send(dir, next); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if reply, err := send(dir, control.Command{Action: "rollback"}); err != nil || reply.Active != active.ID() {
		t.Errorf("rollback: %+v %v", reply, err)
	}
	t.Logf("rolled back in %v", time.Since(begin))
	p.Kill()
	if _, err := send(dir, control.Command{Action: "status"}); !errors.Is(err, control.ErrNobody) {
		t.Errorf("after the kill: %v", err)
	}
}
