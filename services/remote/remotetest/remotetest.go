// Package remotetest is scripted detectors, which answer by the FMS detector API or fail as detectors fail, for tests and
// drills. One server has them all; the path says which.
package remotetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

// The detectors.
const (
	OK       = "ok"       // finds the server's words
	Clean    = "clean"    // finds nothing
	Timeout  = "timeout"  // never answers
	Drip     = "drip"     // begins to answer, with a byte every 50 ms
	Failing  = "5xx"      // 503
	Refusing = "4xx"      // 422
	Limiting = "429"      // asks to be left alone for two seconds
	Garbage  = "garbage"  // answers HTML
	Shape    = "shape"    // answers JSON of a form of its own
	Oversize = "oversize" // answers two megabytes
	Flapping = "flapping" // fails each third time, else like ok
	Closed   = "closed"   // a port where nobody listens
)

// Modes are all of them.
var Modes = []string{OK, Clean, Timeout, Drip, Failing, Refusing, Limiting, Garbage, Shape, Oversize, Flapping, Closed}

// flap is how often a flapping detector fails.
const flap = 3

// Server has the detectors.
type Server struct {
	words  []string
	http   *httptest.Server
	closed int // a socket that has a port and does not listen
	quit   chan struct{}
	once   sync.Once
	open   atomic.Int64

	mu    sync.Mutex // guards asked
	asked map[string]int
}

// New starts a server whose detectors find words.
func New(words ...string) (*Server, error) {
	s := &Server{words: words, quit: make(chan struct{}), asked: map[string]int{}}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a port that is closed: %w", err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		_ = syscall.Close(socket)
		return nil, fmt.Errorf("a port that is closed: %w", err)
	}
	s.closed = socket
	s.http = httptest.NewServer(s)
	return s, nil
}

// Close ends the server and what it has not answered.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.quit)
		s.http.CloseClientConnections()
		s.http.Close()
		_ = syscall.Close(s.closed)
	})
}

// URL is a detector's.
func (s *Server) URL(mode string) string {
	if mode != Closed {
		return s.http.URL + "/" + mode
	}
	at, err := syscall.Getsockname(s.closed)
	if err != nil {
		panic(err) // it was bound in New
	}
	return fmt.Sprintf("http://127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

// Asked is how many requests a detector has had.
func (s *Server) Asked(mode string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[mode]
}

// Open is how many requests are not answered yet, and not given up by who asked.
func (s *Server) Open() int { return int(s.open.Load()) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.open.Add(1)
	defer s.open.Add(-1)
	mode, path, _ := strings.Cut(r.URL.Path[1:], "/")
	var req struct {
		Contents []string `json:"contents"`
	}
	body, err := io.ReadAll(r.Body) // to its end, or the server would not notice that who asked has gone
	if err != nil || path == "api/v1/text/contents" && json.Unmarshal(body, &req) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked[mode]++
	n := s.asked[mode]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch mode {
	case Timeout:
		s.wait(r, 0)
	case Drip:
		s.drip(w, r)
	case Failing:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Refusing:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case Limiting:
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
	case Garbage:
		_, _ = fmt.Fprintf(w, "<html>%s</html>", req.Contents)
	case Shape:
		write(w, map[string]any{"verdict": req.Contents})
	case Oversize:
		write(w, []string{strings.Repeat("x", 2<<20)})
	case Clean:
		s.answer(w, req.Contents, nil)
	case Flapping:
		if n%flap == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.answer(w, req.Contents, s.words)
	default:
		s.answer(w, req.Contents, s.words)
	}
}

// wait waits until who asked has gone, the server ends, or for a while; it says whether that while was over.
func (s *Server) wait(r *http.Request, while time.Duration) bool {
	var over <-chan time.Time
	if while > 0 {
		over = time.After(while)
	}
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.quit:
	}
	return false
}

func (s *Server) drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100000")
	for s.wait(r, 50*time.Millisecond) {
		_, _ = w.Write([]byte(" "))
		w.(http.Flusher).Flush()
	}
}

// answer answers with the first place of each word, quoting it.
func (s *Server) answer(w http.ResponseWriter, contents, words []string) {
	out := make([][]map[string]any, len(contents))
	for i, content := range contents {
		out[i] = []map[string]any{}
		for _, word := range words {
			at := strings.Index(content, word)
			if at < 0 {
				continue
			}
			start := utf8.RuneCountInString(content[:at])
			out[i] = append(out[i], map[string]any{
				"start": start, "end": start + utf8.RuneCountInString(word), "text": word, "detection": "WORD", "detection_type": "words", "score": 0.9, "evidence": []any{},
			})
		}
	}
	write(w, out)
}

// write answers with JSON. Who asked may have gone.
func write(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }
