// Package remote makes detectors of other services' into a detect.Source: the FMS detector API, OpenAI moderation, Azure AI
// Content Safety, Presidio, models that judge content behind a chat endpoint, and whatever takes JSON by POST. A Spec
// describes one; a tenant writes it, so every connection goes through a guard (package egress), and nothing of an answer
// is passed on but labels, scores and places.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Detector is a remote detector. It is safe for concurrent use.
type Detector struct {
	spec     Spec
	kind     kind
	protocol protocol
	text     string // the URLs that content is posted to
	image    string
	auth     *authorizer
	ask      *caller
	health   *caller // where the health URL is; ask where it is the same host
	well     string  // the health URL; "" where there is none
	work     *work
}

var _ detect.Source = (*Detector)(nil)

// New makes a detector of a description, which it validates. It connects to nothing yet.
func New(spec Spec, guard *egress.Guard) (*Detector, error) { return build(spec, guard, nil) }

// build is New with the certificates that a test's servers have.
func build(spec Spec, guard *egress.Guard, trust trust) (*Detector, error) {
	if err := spec.Validate(guard); err != nil {
		return nil, err
	}
	k := kinds[spec.Kind]
	if len(spec.ContentTypes) == 0 {
		spec.ContentTypes = texts
	}
	if len(spec.Covers) == 0 {
		spec.Covers = k.covers
	}
	if spec.Window == 0 {
		spec.Window = k.window
	}
	base, err := guard.Check(spec.URL)
	if err != nil {
		return nil, err
	}
	p, _ := k.protocol(&spec) // Validate had its errors
	d := &Detector{spec: spec, kind: k, protocol: p, work: newWork()}
	d.text = k.target(base, k.leaf, p.query())
	d.image = d.text
	if k.image != "" {
		d.image = k.target(base, k.image, p.query())
	}
	d.ask = newCaller(base, guard, trust, d.work)
	d.health = d.ask
	if d.auth, err = newAuthorizer(spec.Auth, k.header, guard, trust, d.work); err != nil {
		return nil, err
	}
	return d, d.setHealth(base, guard, trust)
}

// setHealth finds out where the detector says how it is.
func (d *Detector) setHealth(base *url.URL, guard *egress.Guard, trust trust) error {
	if d.spec.HealthURL == "" {
		if d.kind.health != "" {
			at := *base
			at.Path, at.RawPath, at.RawQuery = d.kind.health, "", ""
			d.well = at.String()
		}
		return nil
	}
	u, err := guard.Check(d.spec.HealthURL)
	if err != nil {
		return err
	}
	d.well = u.String()
	if u.Scheme != base.Scheme || u.Host != base.Host {
		d.health = newCaller(u, guard, trust, d.work)
	}
	return nil
}

// Name implements detect.Source.
func (d *Detector) Name() string { return d.spec.Name }

// Version implements detect.Source.
func (d *Detector) Version() string { return d.spec.Version }

// Takes implements detect.Source.
func (d *Detector) Takes(t api.ContentType) bool { return slices.Contains(d.spec.ContentTypes, t) }

// Covers implements detect.Source.
func (d *Detector) Covers() []string { return d.spec.Covers }

// Window implements detect.Source.
func (d *Detector) Window() int { return d.spec.Window }

// Idempotent says whether the detector may be asked twice about the same content.
func (d *Detector) Idempotent() bool { return d.spec.Idempotent == nil || *d.spec.Idempotent }

// Ask implements detect.Source.
func (d *Detector) Ask(ctx context.Context, in detect.Input) (wire.Output, error) {
	if !d.Takes(in.Type) {
		return wire.Output{}, &detect.Failure{Status: api.StatusUnsupported, Reason: ReasonContentType}
	}
	body, err := json.Marshal(d.protocol.body(in))
	if err != nil {
		return wire.Output{}, fmt.Errorf("detector %s: the request's body: %w", d.spec.Name, err) // what it is made of always encodes
	}
	to := d.text
	if in.Type == api.ContentImage {
		to = d.image
	}
	req := &fasthttp.Request{}
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(to)
	req.Header.SetContentType("application/json")
	if d.spec.Params.DetectorID != "" {
		req.Header.Set("detector-id", d.spec.Params.DetectorID)
	}
	req.SetBodyRaw(body)
	answer, err := d.send(ctx, d.ask, req, true)
	if err != nil {
		return wire.Output{}, err
	}
	return d.read(in, answer)
}

// read reads an answer. What it is not is all that an error says.
func (d *Detector) read(in detect.Input, answer string) (wire.Output, error) {
	if !json.Valid([]byte(answer)) {
		return wire.Output{}, broken(ReasonGarbage)
	}
	out, err := d.protocol.read(in, answer)
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return wire.Output{}, broken(ReasonOversize)
	case err != nil:
		return wire.Output{}, broken(ReasonShape)
	}
	if len(out.Findings) == 0 {
		out.Findings = []wire.Finding{{Native: "clean", Clean: true}}
	}
	place(out.Findings, in.Content)
	return out, nil
}

// send authorizes a request and gives the answer's body.
func (d *Detector) send(ctx context.Context, c *caller, req *fasthttp.Request, authorize bool) (string, error) {
	if authorize {
		if err := d.auth.apply(ctx, req); err != nil {
			return "", err
		}
	}
	answer, err := c.call(ctx, req)
	var f *detect.Failure
	if errors.As(err, &f) && f.Reason == ReasonAuth {
		d.auth.forget()
	}
	return answer, err
}

// Health asks the detector how it is: nil if it is well. Where there is no URL for that, it is well if it can be
// connected to. The key goes nowhere but to the detector's own host.
func (d *Detector) Health(ctx context.Context) error {
	if d.well == "" {
		return d.ask.connect(ctx)
	}
	req := &fasthttp.Request{}
	req.SetRequestURI(d.well)
	_, err := d.send(ctx, d.health, req, d.health == d.ask)
	return err
}

// Close waits for the requests that are with the detector, which end with their deadlines, and closes the connections. What
// is asked later fails.
func (d *Detector) Close() {
	d.work.stop()
	d.ask.client.CloseIdleConnections()
	d.health.client.CloseIdleConnections()
}

// longest is what a request may take whose caller has no deadline, or a later one.
const longest = 30 * time.Second
