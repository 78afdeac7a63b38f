package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// feed serves n events to those who have the key.
func feed(t *testing.T, n int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("X-API-Key") != "key" && r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error_code":"FORBIDDEN","message":"no","retryable":false}`)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		page := api.EventsResponse{Events: []json.RawMessage{}, Next: fmt.Sprint(after)}
		for seq := after + 1; seq <= n && len(page.Events) < api.MaxEvents; seq++ {
			e := api.Event{Kind: api.EventMapping, Detector: "d", Source: api.SourceModel, Taxonomy: []string{"OTHER.Spam"}, Confidence: 0.5}
			e.Scores = map[string]float64{"OTHER.Spam": 0.5}
			switch seq % 10 {
			case 2:
				e.Taxonomy, e.Scores = []string{"HARM.SPEECH.Toxicity", "OTHER.Spam"}, map[string]float64{"HARM.SPEECH.Toxicity": 0.45, "OTHER.Spam": 1}
			case 3:
				e.Scores = nil
			case 0:
				e = api.Event{Kind: api.EventDrift}
			case 1:
				e.Taxonomy, e.Source = []string{"OTHER.Unknown"}, api.SourceFallback
			}
			raw, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			page.Events, page.Next = append(page.Events, raw), fmt.Sprint(seq)
		}
		if err := json.NewEncoder(w).Encode(page); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func summarize(t *testing.T, url string, who Credentials, after string) (api.Summary, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return New(url).Summarize(ctx, who, after)
}

func TestSummarize(t *testing.T) {
	url := feed(t, 2500)
	s, err := summarize(t, url, Credentials{Key: "key"}, "")
	if err != nil || s.Events != 2250 || s.Drifts != 250 || s.Unknown != 250 || s.Labels["OTHER.Spam"] != 2000 || s.Labels["OTHER.Unknown"] != 250 || len(s.Labels) != 2 || s.WeakLabels["HARM.SPEECH.Toxicity"] != 250 || len(s.WeakLabels) != 1 || s.Sources["fallback"] != 250 || s.MeanConfidence != 0.5 || s.Next != "2500" || !s.Complete {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := summarize(t, url, Credentials{Authorization: "Bearer key"}, "2499"); err != nil || s.Events != 0 || s.Drifts != 1 || s.MeanConfidence != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := summarize(t, feed(t, 25000), Credentials{Key: "key"}, ""); err != nil || s.Next != "10000" || s.Complete {
		t.Errorf("%+v %v", s, err)
	}
}

// What the mapper refuses is refused; a mapper that is away or talks nonsense is told.
func TestFailures(t *testing.T) {
	nonsense := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer nonsense.Close()
	for url, want := range map[string]api.Code{feed(t, 1): api.Forbidden, "http://127.0.0.1:1": api.UpstreamFailed, nonsense.URL: api.UpstreamFailed} {
		if _, err := summarize(t, url, Credentials{Key: "wrong"}, ""); api.AsError(err).Code != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}
