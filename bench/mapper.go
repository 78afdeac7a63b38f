package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// server is a child process that answers HTTP.
type server struct {
	cmd     *exec.Cmd
	address string
	ready   time.Duration // from its start to its first 200 on the probe
}

// start runs a program and waits until its probe is 200.
func start(probe string, port int, env []string, program string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(program, args...), address: fmt.Sprintf("127.0.0.1:%d", port)}
	s.cmd.Env = append(os.Environ(), env...)
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < time.Minute {
		if status, _, err := fasthttp.GetTimeout(nil, "http://"+s.address+probe, time.Second); err == nil && status == 200 {
			s.ready = time.Since(began)
			return s, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s was not ready in a minute", program), s.stop())
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) { // llama-server ends on the signal itself
		return nil
	}
	return err
}

// metric adds up the samples of a name on /metrics that have the given label, if any.
func (s *server) metric(name, label string) (float64, error) {
	_, body, err := fasthttp.GetTimeout(nil, "http://"+s.address+"/metrics", 5*time.Second)
	if err != nil {
		return 0, err
	}
	sum := 0.0 // of a counter that never counted there is no sample
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(\{.*\})? (\S+)$`).FindAllSubmatch(body, -1) {
		if !strings.Contains(string(m[1]), label) {
			continue
		}
		v, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// resident is the child's memory in bytes.
func (s *server) resident() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// measureMapper returns the mapper's requests per second at 8 clients.
func measureMapper(w *work, binary, key string, bare float64, each, overload time.Duration) (ours8 float64, err error) {
	runtime.GOMAXPROCS(1) // from here on this process is a client; a second thread would only spin on the server's cores
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	s, err := start("/ready", port, []string{fmt.Sprintf("LLAMA_MAPPER_HTTP__MAPPER_PORT=%d", port), "LLAMA_MAPPER_DEBUG=false", "LLAMA_MAPPER_LOG_LEVEL=WARN"}, binary)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	idle, err := s.resident()
	if err != nil {
		return 0, err
	}
	fmt.Printf("\nmapper over HTTP, model path, distinct findings, client on the same cores\n  ready after %d ms, resident %d MB\n", s.ready.Milliseconds(), idle>>20)
	t := newTarget(s.address, "/api/v1/map?source=model", "X-API-Key: "+key+"\r\n", w.bodies, check)
	t.closed(8, time.Second) // connections, caches
	var peak result
	for _, clients := range []int{1, 8, 32} {
		share, r, err := s.share(func() result { return t.closed(clients, each) })
		if err != nil {
			return 0, err
		}
		fmt.Printf("  closed loop, %2d clients     %s   %2.0f %% of bare, %2.0f %% of its CPU in llama.cpp\n", clients, r, 100*r.good/bare, 100*share)
		if clients == 8 {
			ours8 = r.good
		}
		peak = r
	}
	best := result{}
	for _, part := range []float64{0.6, 0.7, 0.8, 0.9, 0.95} {
		share, r, err := s.share(func() result { return t.open(part*peak.good, each) })
		if err != nil {
			return 0, err
		}
		fmt.Printf("  open loop at %5.0f/s         %s   %2.0f %% of bare, %2.0f %% of its CPU in llama.cpp\n", part*peak.good, r, 100*r.good/bare, 100*share)
		if r.p95 < limit && r.errors+r.refused == 0 && r.good > best.good {
			best = r
		}
	}
	fmt.Printf("  goodput at p95 < %d ms: %.0f/s = %.0f %% of the bare loop\n", limit.Milliseconds(), best.good, 100*best.good/bare)
	r := t.open(3*best.good, overload)
	expired, err := s.metric("llm_requests_total", `result="expired"`)
	if err != nil {
		return 0, err
	}
	after, err := s.resident()
	if err != nil {
		return 0, err
	}
	again, bestAgain := t.closed(32, each), t.open(best.good, each) // machines drift: a peak is the mean of before and after
	fmt.Printf("  overload at %5.0f/s, %3.0f s   %s\n", 3*best.good, overload.Seconds(), r)
	fmt.Printf("  32 clients again            %s\n", again)
	fmt.Printf("  open loop at %5.0f/s again   %s\n", best.good, bestAgain)
	fmt.Printf("  goodput under overload: %.0f %% of the open loop's best, %.0f %% of the closed loop's; %.0f requests expired and were not decoded; resident %d MB\n",
		200*r.good/(best.good+bestAgain.good), 200*r.good/(peak.good+again.good), expired, after>>20)
	return ours8, err
}

// share runs a measurement and returns how much of the server's CPU time went into llama.cpp meanwhile.
func (s *server) share(measure func() result) (float64, result, error) {
	read := func() (in, all float64, err error) {
		in, err1 := s.metric("llm_decode_cpu_seconds_total", "")
		all, err2 := s.metric("process_cpu_seconds_total", "")
		return in, all, errors.Join(err1, err2)
	}
	in0, all0, err := read()
	if err != nil {
		return 0, result{}, err
	}
	r := measure()
	in1, all1, err := read()
	return (in1 - in0) / (all1 - all0), r, err
}
