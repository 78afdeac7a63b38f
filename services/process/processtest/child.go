package processtest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/config"
)

// asProgram in the environment makes a test binary be its service.
const asProgram = "TEST_AS_PROGRAM"

// Program is TestMain of a command whose tests Spawn it: the test binary is the service then.
func Program(m *testing.M, name string, main func()) {
	if os.Getenv(asProgram) != "" {
		os.Args = []string{name, "-config", "config/development.yaml"}
		flag.CommandLine = flag.NewFlagSet(name, flag.ExitOnError)
		main()
		return
	}
	os.Exit(m.Run())
}

// Child is a service in a process of its own, which can be killed.
type Child struct {
	Service
	cmd *exec.Cmd
}

// Spawn starts the command whose test this is as the named service, in the environment of now and what is added to it,
// and returns once it is ready. Its port is free, or what TEST_PORT says. Its log goes to logs, if that is not nil.
func Spawn(t *testing.T, name string, logs *os.File, environment ...string) *Child {
	t.Helper()
	port := freePort(t)
	c := &Child{Service{Base: fmt.Sprint("http://127.0.0.1:", port)}, exec.CommandContext(context.Background(), os.Args[0])} //nolint:gosec // it is ourselves
	c.cmd.Env = append(os.Environ(), asProgram+"=1", fmt.Sprint(config.Prefix, "HTTP__", strings.ToUpper(name), "_PORT=", port))
	c.cmd.Env = append(c.cmd.Env, environment...)
	if logs != nil {
		c.cmd.Stderr = logs
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	Until(t, "ready", func() bool {
		status, _, err := get(c.Base + "/ready")
		return err == nil && status == http.StatusOK
	})
	return c
}

// get is what is at a URL.
func get(url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// Kill is kill -9; it may be repeated.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func freePort(t *testing.T) int {
	t.Helper()
	if port, err := strconv.Atoi(os.Getenv("TEST_PORT")); err == nil {
		return port
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
