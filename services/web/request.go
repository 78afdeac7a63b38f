package web

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// Limit is how many entries a request wants, its query's limit: 1 to most, and standard where it does not say.
func Limit(rc *fasthttp.RequestCtx, standard, most int) (int, error) {
	v := rc.QueryArgs().Peek("limit")
	if v == nil {
		return standard, nil
	}
	limit, err := strconv.Atoi(string(v))
	if err != nil || limit < 1 || limit > most {
		return 0, api.Errorf(api.InvalidRequest, "limit must be 1 to %d", most)
	}
	return limit, nil
}

// RequestID is the id of the request that a handler answers.
func RequestID(rc *fasthttp.RequestCtx) string {
	return string(rc.Response.Header.Peek("X-Request-ID"))
}
