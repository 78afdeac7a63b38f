package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// A route may take larger bodies than the others, whole, and only behind its gate.
func TestWhole(t *testing.T) {
	const most = 3 * api.MaxBody
	s := serveTCP(t, options(), func(r *Router) {
		r.HandleStream("POST", "/large", Open, Whole(most, func(rc *fasthttp.RequestCtx) error { return JSON(rc, 200, len(rc.PostBody())) }))
	})
	for _, chunked := range []bool{false, true} {
		for n, want := range map[int]string{0: "200 0", 5: "200 5", api.MaxBody + 1: fmt.Sprint("200 ", api.MaxBody+1), most: fmt.Sprint("200 ", most), most + 1: "413"} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", n))
			if chunked {
				body = io.MultiReader(body) // of no known length
			}
			res, err := http.Post(url(t, s, "/large"), "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			said, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.Body.Close(); !strings.HasPrefix(fmt.Sprint(res.StatusCode, " ", string(said)), want) {
				t.Errorf("%d bytes, chunked %t: %d %s, want %s", n, chunked, res.StatusCode, said, want)
			}
		}
	}
}
