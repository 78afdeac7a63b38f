package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code is the closed set of what can go wrong, for machines.
type Code string

// The codes, each with its HTTP status.
const (
	InvalidRequest   Code = "INVALID_REQUEST"    // 400
	Unauthorized     Code = "UNAUTHORIZED"       // 401
	Forbidden        Code = "FORBIDDEN"          // 403
	NotFound         Code = "NOT_FOUND"          // 404
	MethodNotAllowed Code = "METHOD_NOT_ALLOWED" // 405
	RequestTimeout   Code = "REQUEST_TIMEOUT"    // 408
	Conflict         Code = "CONFLICT"           // 409
	PayloadTooLarge  Code = "PAYLOAD_TOO_LARGE"  // 413
	RateLimited      Code = "RATE_LIMITED"       // 429
	Overloaded       Code = "OVERLOADED"         // 429
	Internal         Code = "INTERNAL"           // 500
	UpstreamFailed   Code = "UPSTREAM_FAILED"    // 502
	Unavailable      Code = "UNAVAILABLE"        // 503
)

// Status is the code's HTTP status.
func (c Code) Status() int {
	switch c {
	case InvalidRequest:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case RequestTimeout:
		return http.StatusRequestTimeout
	case Conflict:
		return http.StatusConflict
	case PayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case Overloaded, RateLimited:
		return http.StatusTooManyRequests
	case UpstreamFailed:
		return http.StatusBadGateway
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is a failure as a client sees it. The message says what to do and never repeats what the client sent.
type Error struct {
	Code      Code   `json:"error_code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
	Retryable bool   `json:"retryable"`

	Chat       *ChatError    `json:"error,omitempty"` // the same as clients of OpenAI's API read it, where they ask
	RetryAfter time.Duration `json:"-"`               // for the Retry-After header; 0 means none
	Err        error         `json:"-"`               // the cause; it stays in our log
}

// Errorf makes an Error. The arguments must not hold content from the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{
		Code: code, Message: fmt.Sprintf(format, args...),
		Retryable: code == RequestTimeout || code == Overloaded || code == RateLimited || code == UpstreamFailed || code == Unavailable,
	}
}

// Error implements error; it is for logs and has the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the Error in err. A deadline is REQUEST_TIMEOUT; anything else is INTERNAL, with err as its cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e = Errorf(RequestTimeout, "the deadline passed before there was an answer; retry, or send fewer findings")
	} else {
		e = Errorf(Internal, "something failed on our side; the log has it under this request_id")
	}
	e.Err = err
	return e
}
