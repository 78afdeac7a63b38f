package remote

import (
	"crypto/tls"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/egress"
)

// The reasons of failures.
const (
	ReasonClosed      = "closed"       // it cannot be connected to, or the connection ended
	ReasonTLS         = "tls"          // its certificate or protocol is none that we take
	ReasonTimeout     = "timeout"      // it had its time
	ReasonRefused     = "refused"      // the guard does not let through to its address
	ReasonBusy        = "busy"         // too many requests are with it, or wait for a connection
	ReasonAuth        = "auth"         // it, or who gives tokens for it, does not take our key
	ReasonRateLimited = "rate_limited" // it has had enough of us
	Reason3xx         = "3xx"          // it wants us elsewhere, where we do not go
	Reason4xx         = "4xx"
	Reason5xx         = "5xx"
	ReasonGarbage     = "garbage"      // the answer is no HTTP, or no JSON
	ReasonShape       = "shape"        // the answer is not in the form of its kind
	ReasonOversize    = "oversize"     // the answer has more than 1 MB, or too many findings
	ReasonContentType = "content_type" // it does not take content of that type
)

// maxRetryAfter bounds what a detector can ask for.
const maxRetryAfter = time.Hour

// broken is a failure that another attempt does not mend.
func broken(reason string) *detect.Failure {
	return &detect.Failure{Status: api.StatusError, Reason: reason}
}

// again is a failure that another attempt may mend.
func again(reason string, after time.Duration) *detect.Failure {
	return &detect.Failure{Status: api.StatusError, Reason: reason, Retry: true, RetryAfter: after}
}

// limited is a detector's wish to be left alone for a while.
func limited(after time.Duration) *detect.Failure {
	return &detect.Failure{Status: api.StatusRateLimited, Reason: ReasonRateLimited, Retry: true, RetryAfter: after}
}

// failure says why a request got no answer. The cause is left out but for the guard's: causes of HTTP quote what they
// could not read.
func failure(err error) *detect.Failure {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var header *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, egress.ErrRefused):
		f := broken(ReasonRefused)
		f.Err = egress.ErrRefused
		return f
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.As(err, &header):
		return broken(ReasonOversize)
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return broken(ReasonTLS)
	case isTimeout(err):
		return &detect.Failure{Status: api.StatusTimeout, Reason: ReasonTimeout, Retry: true}
	case isClosed(err):
		return again(ReasonClosed, 0)
	}
	return broken(ReasonGarbage)
}

// refused says what an answer's status says; nil for 2xx.
func refused(res *fasthttp.Response) error {
	status := res.StatusCode()
	after := retryAfter(string(res.Header.Peek("Retry-After")))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == fasthttp.StatusUnauthorized, status == fasthttp.StatusForbidden:
		return broken(ReasonAuth)
	case status == fasthttp.StatusTooManyRequests:
		return limited(after)
	case status == fasthttp.StatusRequestTimeout:
		return &detect.Failure{Status: api.StatusTimeout, Reason: ReasonTimeout, Retry: true, RetryAfter: after}
	case status >= 500:
		return again(Reason5xx, after)
	case status >= 400:
		return broken(Reason4xx)
	}
	return broken(Reason3xx)
}

// retryAfter reads seconds or a date; 0 for anything else.
func retryAfter(value string) time.Duration {
	after := time.Duration(0)
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := fasthttp.ParseHTTPDate([]byte(value)); err == nil {
		after = time.Until(at)
	}
	return max(0, min(after, maxRetryAfter))
}
