package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/egress"
)

// issuer gives tokens, and is the detector that takes them.
type issuer struct {
	*httptest.Server
	issued, asked atomic.Int32
	status        atomic.Int32  // of what it answers to who wants a token
	expires       atomic.Int32  // seconds
	valid         atomic.Int32  // the token that the detector takes; 0 takes all
	hold          chan struct{} // closed when tokens may be given
}

func newIssuer(t *testing.T) *issuer {
	s := &issuer{hold: make(chan struct{})}
	s.status.Store(200)
	s.expires.Store(3600)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/token" {
		s.asked.Add(1)
		if n := s.valid.Load(); n != 0 && r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", n) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, `[]`)
		return
	}
	select {
	case <-s.hold:
	case <-r.Context().Done():
		return
	}
	id, key, basic := r.BasicAuth()
	if status := int(s.status.Load()); status != 200 || !basic || id != "id" || key != secret || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(max(status, 400))
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":%q}`, key)
		return
	}
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, s.issued.Add(1), s.expires.Load())
}

func (s *issuer) detector(t *testing.T) *Detector {
	return made(t, Spec{Name: "d", Kind: "presidio", URL: s.URL, Auth: Auth{
		Type: "oauth2", ClientID: "id", ClientSecret: secret, TokenURL: s.URL + "/token", Scope: "a  b",
	}}, local)
}

// A token is fetched once for all that wait for it, kept, and dropped when the detector does not take it any more.
func TestTokens(t *testing.T) {
	s := newIssuer(t)
	d := s.detector(t)
	if _, err := d.Ask(soon(t, 50*time.Millisecond), asked); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err) // and its fetching goes on
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := d.Ask(context.Background(), asked); err != nil {
				t.Error(err)
			}
		})
	}
	close(s.hold)
	all.Wait()
	if s.issued.Load() != 1 || s.asked.Load() != 20 {
		t.Errorf("%d tokens, %d asked", s.issued.Load(), s.asked.Load())
	}
	s.valid.Store(2)
	_, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonAuth)
	for range 3 {
		if _, err := d.Ask(context.Background(), asked); err != nil {
			t.Error(err)
		}
	}
	if n := s.issued.Load(); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}

// One that expires in a moment is not used again.
func TestTokenExpires(t *testing.T) {
	s := newIssuer(t)
	close(s.hold)
	s.expires.Store(5)
	d := s.detector(t)
	for range 2 {
		if _, err := d.Ask(context.Background(), asked); err != nil {
			t.Error(err)
		}
	}
	if n := s.issued.Load(); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}

func TestTokenFailures(t *testing.T) {
	s := newIssuer(t)
	close(s.hold)
	d := s.detector(t)
	for status, want := range map[int32]struct {
		status api.DetectorStatus
		reason string
	}{400: {api.StatusError, ReasonAuth}, 401: {api.StatusError, ReasonAuth}, 302: {api.StatusError, ReasonAuth}, 429: {api.StatusRateLimited, ReasonRateLimited}, 503: {api.StatusError, Reason5xx}} {
		s.status.Store(status)
		_, err := d.Ask(context.Background(), asked)
		f := wantFailure(t, err, want.status, want.reason)
		if text := fmt.Sprintf("%v %+v", err, f); strings.Contains(text, secret) {
			t.Error(text)
		}
	}
	s.Close()
	_, err := d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonClosed)
	d.Close()
	_, err = d.Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonClosed)
	if s.asked.Load() != 0 {
		t.Error("asked without a token")
	}
	nowhere := Auth{Type: "oauth2", ClientID: "id", ClientSecret: secret, TokenURL: "https://localhost:9999"}
	_, err = made(t, Spec{Name: "d", Kind: "presidio", URL: "https://example.com", Auth: nowhere}, egress.New(nil)).Ask(context.Background(), asked)
	wantFailure(t, err, api.StatusError, ReasonRefused)
}
