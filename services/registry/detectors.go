package registry

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/remote"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// kept stands for a secret in what is shown; sent back, it keeps the secret.
var kept = config.Secret(config.Secret("x").String())

func (s *Service) getDetectors(rc *fasthttp.RequestCtx) error {
	out := api.DetectorsResponse{Detectors: []api.DetectorInfo{}}
	for _, d := range s.builtin {
		out.Detectors = append(out.Detectors, builtin(d))
	}
	for _, d := range s.directory.Detectors(access.CallerOf(rc).Tenant.ID) {
		out.Detectors = append(out.Detectors, registered(d))
	}
	return web.JSON(rc, fasthttp.StatusOK, out)
}

// builtin describes a built-in detector.
func builtin(d detect.Source) api.DetectorInfo {
	out := info(d)
	out.Kind, out.Health = "built-in", api.HealthHealthy
	if d, ok := d.(interface{ Labels() []string }); ok {
		out.Labels = d.Labels()
	}
	return out
}

func registered(d *Registered) api.DetectorInfo {
	out := info(d)
	out.Kind, out.Health = d.kind, d.State().State
	return out
}

func info(d detect.Source) api.DetectorInfo {
	out := api.DetectorInfo{Name: d.Name(), Version: d.Version(), Labels: []string{}, ContentTypes: []api.ContentType{}, Covers: d.Covers()}
	for _, t := range []api.ContentType{api.ContentText, api.ContentCode, api.ContentDocument, api.ContentImage} {
		if d.Takes(t) {
			out.ContentTypes = append(out.ContentTypes, t)
		}
	}
	return out
}

// isBuiltin finds a built-in detector.
func (s *Service) isBuiltin(name string) (detect.Source, bool) {
	i := slices.IndexFunc(s.builtin, func(d detect.Source) bool { return d.Name() == name })
	if i < 0 {
		return nil, false
	}
	return s.builtin[i], true
}

func (s *Service) getHealth(rc *fasthttp.RequestCtx) error {
	name := web.Param(rc, "name")
	if _, ok := s.isBuiltin(name); ok {
		return web.JSON(rc, fasthttp.StatusOK, api.HealthInfo{State: api.HealthHealthy})
	}
	for _, d := range s.directory.Detectors(access.CallerOf(rc).Tenant.ID) {
		if d.Name() == name {
			return web.JSON(rc, fasthttp.StatusOK, d.State())
		}
	}
	return errNone()
}

func (s *Service) getDetector(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	name := web.Param(rc, "name")
	version, err := wanted(rc)
	if err != nil {
		return err
	}
	if d, ok := s.isBuiltin(name); ok && version == 0 {
		return web.JSON(rc, fasthttp.StatusOK, builtin(d))
	}
	e, err := s.store.Get(ctx, c.Tenant, Detectors, name, version)
	if err != nil {
		return err
	}
	return s.showDetector(rc, c, fasthttp.StatusOK, e)
}

// showDetector writes a version without its secrets. One that is not in force has what its description says.
func (s *Service) showDetector(rc *fasthttp.RequestCtx, c access.Caller, status int, e Entry) error {
	spec, err := remote.Parse(e.Text)
	if err != nil {
		return errUnreadable()
	}
	out := api.DetectorInfo{
		Name: e.Name, Version: strconv.Itoa(e.Version), Labels: []string{}, Kind: spec.Kind, ContentTypes: append([]api.ContentType{}, spec.ContentTypes...),
		Covers: append([]string{}, spec.Covers...), Health: api.HealthUnknown, KeyID: e.KeyID, CreatedAt: &e.CreatedAt,
	}
	for _, d := range s.directory.Detectors(c.Tenant.ID) {
		if d.Name() == e.Name && d.version == e.Version {
			live := registered(d)
			out.ContentTypes, out.Covers, out.Health = live.ContentTypes, live.Covers, live.Health
		}
	}
	if out.Spec, err = json.Marshal(spec.Masked()); err != nil {
		return err
	}
	tag(rc, e)
	return web.JSON(rc, status, out)
}

func (s *Service) postDetector(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	spec, err := parseSpec(rc)
	if err != nil {
		return err
	}
	if _, ok := s.isBuiltin(spec.Name); ok {
		return api.Errorf(api.Conflict, "a built-in detector has that name; use another")
	}
	return s.putSpec(ctx, rc, c, spec, 0, func(old *Entry) error {
		if old != nil {
			return api.Errorf(api.Conflict, "there is a detector of that name; PUT makes a new version of it")
		}
		return nil
	})
}

func (s *Service) putDetector(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller) error {
	match, err := matched(rc)
	if err != nil {
		return err
	}
	spec, err := parseSpec(rc)
	if err != nil {
		return err
	}
	if name := web.Param(rc, "name"); spec.Name == "" {
		spec.Name = name
	} else if spec.Name != name {
		return api.Errorf(api.InvalidRequest, "name must be that of the path, or left out")
	}
	return s.putSpec(ctx, rc, c, spec, match, func(old *Entry) error {
		if old == nil {
			return errNone()
		}
		return nil
	})
}

func parseSpec(rc *fasthttp.RequestCtx) (spec remote.Spec, err error) {
	body := rc.PostBody()
	if len(body) > api.MaxSpec {
		return spec, api.Errorf(api.PayloadTooLarge, "a detector is described in at most %d bytes", api.MaxSpec)
	}
	if spec, err = remote.Parse(body); err != nil {
		return spec, api.Errorf(api.InvalidRequest, "%v", err) // it quotes no value
	}
	return spec, nil
}

// putSpec makes a version, if may lets it.
func (s *Service) putSpec(ctx context.Context, rc *fasthttp.RequestCtx, c access.Caller, spec remote.Spec, match int, may func(old *Entry) error) error {
	e, made, err := s.store.Put(ctx, c, Detectors, spec.Name, Change{Match: match, Activate: true, Make: func(old *Entry) ([]byte, string, error) {
		if err := may(old); err != nil {
			return nil, "", err
		}
		if err := keep(&spec, old); err != nil {
			return nil, "", err
		}
		if err := spec.Validate(s.guard); err != nil {
			return nil, "", api.Errorf(api.InvalidRequest, "%v", err) // it quotes no value
		}
		text, err := json.Marshal(spec)
		return text, c.Tenant.Vault.Digest(string(text)), err
	}})
	if err != nil {
		return err
	}
	s.directory.Follow(ctx)
	return s.showDetector(rc, c, status(made), e)
}

// keep puts the secrets of the version before where a caller has sent what stands for them. They go where they went
// before and nowhere else: who may change a detector has not therefore seen its secrets.
func keep(spec *remote.Spec, old *Entry) error {
	wanted := secretsOf(spec)
	if !slices.ContainsFunc(wanted, func(s *config.Secret) bool { return *s == kept }) {
		return nil
	}
	var before remote.Spec
	if old != nil {
		var err error
		if before, err = remote.Parse(old.Text); err != nil {
			return errUnreadable()
		}
	}
	had := secretsOf(&before)
	for i, secret := range wanted {
		switch {
		case *secret != kept:
		case *had[i] == "":
			return api.Errorf(api.InvalidRequest, "%s stands for a secret that is there already, and there is none; send the secret", kept)
		case !slices.Equal(destinations(*spec), destinations(before)):
			return api.Errorf(api.InvalidRequest, "%s keeps a secret only while it goes to the same hosts; send the secret again", kept)
		default:
			*secret = *had[i]
		}
	}
	return nil
}

// secretsOf are all secrets of a description.
func secretsOf(s *remote.Spec) []*config.Secret {
	return []*config.Secret{&s.Auth.Key, &s.Auth.Token, &s.Auth.Password, &s.Auth.ClientSecret}
}

// destinations are the schemes and hosts that a description's secrets go to.
func destinations(s remote.Spec) (out []string) {
	for _, raw := range []string{s.URL, s.HealthURL, s.Auth.TokenURL} {
		u, err := url.Parse(raw)
		if err != nil { // Validate says so
			u = &url.URL{Opaque: raw}
		}
		out = append(out, u.Scheme+"://"+u.Host+u.Opaque)
	}
	return out
}
