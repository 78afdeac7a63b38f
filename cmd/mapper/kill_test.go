//go:build llama

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// asProgram in the environment makes the test binary be the mapper.
const asProgram = "TEST_AS_MAPPER"

func TestMain(m *testing.M) {
	if path := os.Getenv(asProgram); path != "" {
		os.Args = []string{"mapper", "-config", path}
		flag.CommandLine = flag.NewFlagSet("mapper", flag.ExitOnError)
		main()
		return
	}
	os.Exit(m.Run())
}

// child is a mapper of its own, which can be killed.
type child struct {
	*exec.Cmd
	base string
}

func startProcess(t *testing.T, model string, logs *os.File) *child {
	t.Helper()
	port := freePort(t)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), asProgram+"=config/development.yaml", "LLAMA_MAPPER_MODEL__MODEL_PATH="+model, fmt.Sprint("LLAMA_MAPPER_HTTP__MAPPER_PORT=", port))
	if logs != nil {
		c.Stderr = logs
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &child{c, fmt.Sprintf("http://127.0.0.1:%d", port)}
	t.Cleanup(func() { p.kill() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if res, err := http.Get(p.base + "/ready"); err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatal("the mapper did not start")
		}
	}
}

// freePort is a port for a mapper, or the one that the environment says.
func freePort(t *testing.T) int {
	t.Helper()
	if port, err := strconv.Atoi(os.Getenv("TEST_PORT")); err == nil {
		return port
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// kill is kill -9; it may be repeated.
func (p *child) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
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
			p.kill()
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
	p.kill()
	if _, err := send(dir, control.Command{Action: "status"}); !errors.Is(err, control.ErrNobody) {
		t.Errorf("after the kill: %v", err)
	}
}
