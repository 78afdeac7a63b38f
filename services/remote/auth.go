package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
)

// tokenTime is what it may take to get a token, which goes on when the request that first needed it has ended.
const tokenTime = 10 * time.Second

// authorizer puts into a request how the detector knows us.
type authorizer struct {
	header, value string // the same for all requests; "" for none
	tokens        *tokens
}

func newAuthorizer(a Auth, header string, guard *egress.Guard, trusted trust, w *work) (*authorizer, error) {
	switch a.Type {
	case "api_key":
		return &authorizer{header: cmp.Or(a.Header, header), value: string(a.Key)}, nil
	case "bearer":
		return &authorizer{header: "Authorization", value: "Bearer " + string(a.Token)}, nil
	case "basic":
		pair := base64.StdEncoding.EncodeToString([]byte(a.User + ":" + string(a.Password)))
		return &authorizer{header: "Authorization", value: "Basic " + pair}, nil
	case "oauth2":
		t, err := newTokens(a, guard, trusted, w)
		return &authorizer{header: "Authorization", tokens: t}, err
	}
	return &authorizer{}, nil
}

func (a *authorizer) apply(ctx context.Context, req *fasthttp.Request) error {
	value := a.value
	if a.tokens != nil {
		token, err := a.tokens.get(ctx)
		if err != nil {
			return err
		}
		value = "Bearer " + token
	}
	if a.header != "" {
		req.Header.Set(a.header, value)
	}
	return nil
}

// forget drops a token that was not taken.
func (a *authorizer) forget() {
	if a.tokens != nil {
		a.tokens.set(nil)
	}
}

// tokens gets tokens by client credentials, and keeps one until shortly before it expires.
type tokens struct {
	config clientcredentials.Config
	http   *http.Client
	work   *work
	flight singleflight.Group

	mu    sync.Mutex // guards token
	token *oauth2.Token
}

func newTokens(a Auth, guard *egress.Guard, trusted trust, w *work) (*tokens, error) {
	u, err := guard.Check(a.TokenURL)
	if err != nil {
		return nil, err
	}
	return &tokens{
		work: w,
		config: clientcredentials.Config{
			ClientID: a.ClientID, ClientSecret: string(a.ClientSecret), TokenURL: u.String(), Scopes: strings.Fields(a.Scope),
		},
		http: &http.Client{
			Timeout:       tokenTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{ // no proxy, which would connect past the guard
				DialContext: guard.For(u).DialContext, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: connectTime, ResponseHeaderTimeout: tokenTime, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			},
		},
	}, nil
}

// kept returns the token that is kept, or "" if there is none or it has expired.
func (t *tokens) kept() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.token.Valid() {
		return ""
	}
	return t.token.AccessToken
}

func (t *tokens) set(token *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = token
}

// get returns a token. Whoever needs one while it is being fetched waits for that, until its ctx ends.
func (t *tokens) get(ctx context.Context) (string, error) {
	if token := t.kept(); token != "" {
		return token, nil
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-t.flight.DoChan("", t.fetch):
		if r.Err != nil {
			return "", tokenFailure(r.Err)
		}
		return r.Val.(string), nil
	}
}

// fetch gets a token and keeps it, unless one came since its caller looked.
func (t *tokens) fetch() (any, error) {
	if token := t.kept(); token != "" {
		return token, nil
	}
	if !t.work.begin() {
		return "", errClosed
	}
	defer t.work.running.Done()
	ctx, cancel := context.WithTimeout(context.WithValue(t.work.life, oauth2.HTTPClient, t.http), tokenTime)
	defer cancel()
	token, err := t.config.Token(ctx)
	if err != nil {
		return "", err
	}
	t.set(token)
	return token.AccessToken, nil
}

// tokenFailure says why there is no token. What the server answered may quote what it was sent.
func tokenFailure(err error) *detect.Failure {
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) || answered.Response == nil {
		return failure(err)
	}
	switch status := answered.Response.StatusCode; {
	case status >= 500:
		return again(Reason5xx, 0)
	case status == http.StatusTooManyRequests:
		return limited(retryAfter(answered.Response.Header.Get("Retry-After")))
	}
	return broken(ReasonAuth)
}
