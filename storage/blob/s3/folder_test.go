package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// folderOf is a folder in a bucket of a server that answers as it is told.
func folderOf(t *testing.T, prefix string, answer http.HandlerFunc) *Folder {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	f, err := OpenFolder(t.Context(), Config{
		Bucket: "bucket", Prefix: prefix, Endpoint: server.URL, PathStyle: true, AccessKey: "key", SecretKey: "canary-7731", Stall: 5 * time.Second, Attempts: 1,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOpenFolder_takes_prefixes_that_can_be_asked_for(t *testing.T) {
	for prefix, good := range map[string]bool{
		"": true, "/": true, "/old/registry/": true, "old registry/+&=Ü": true, ".old": true,
		"a//b": false, "../a": false, "a/./b": false, "a\nb": false, "a\xff": false, strings.Repeat("a", maxPrefix+1): false,
	} {
		f, err := OpenFolder(t.Context(), Config{Bucket: "bucket", Region: "eu-central-1", Prefix: prefix})
		if (err == nil) != good {
			t.Errorf("prefix %.20q: %v; want that it is taken: %t", prefix, err, good)
		}
		if err == nil && f.prefix != "" && !strings.HasSuffix(f.prefix, "/") {
			t.Errorf("prefix %.20q is %q, want a slash at its end", prefix, f.prefix)
		}
	}
	if f, err := OpenFolder(t.Context(), Config{Prefix: "a"}); err == nil {
		t.Errorf("without a bucket: %v, want an error", f)
	}
}

func list(f *Folder, place string) (names []string, err error) {
	for e, err := range f.List(context.Background(), place) {
		if err != nil {
			return names, err
		}
		name := e.Name()
		if e.IsDir() != (e.Type() == fs.ModeDir) {
			return names, fmt.Errorf("%q is a folder: %t, and of type %s", name, e.IsDir(), e.Type())
		}
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names, nil
}

const result = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType>`

// A page is asked for after a page; names come decoded, as they are, and only those that were asked for.
func TestFolder_lists_what_lies_right_below(t *testing.T) {
	var asked []string
	f := folderOf(t, "old", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("prefix")+" "+q.Get("delimiter")+" "+q.Get("encoding-type")+" "+q.Get("continuation-token"))
		if q.Get("continuation-token") == "" {
			fmt.Fprint(w, result+`<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>
				<CommonPrefixes><Prefix>old/docker/a+b%0A/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>old/docker//</Prefix></CommonPrefixes>
				<CommonPrefixes><Prefix>elsewhere/c/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>old/docker/%zz/</Prefix></CommonPrefixes>
				<Contents><Key>old/docker/</Key></Contents></ListBucketResult>`)
			return
		}
		fmt.Fprint(w, result+`<IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>old/docker/../</Prefix></CommonPrefixes><Contents><Key>old/docker/file</Key></Contents></ListBucketResult>`)
	})
	names, err := list(f, "docker")
	if want := []string{"a b\n/", "/", "../", "file"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("listed are %q, %v; want %q", names, err, want)
	}
	if want := []string{"old/docker/ / url ", "old/docker/ / url more"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// Faults end a list, with words on what to do and without secrets; so does a list that would never end.
func TestFolder_lists_that_fail(t *testing.T) {
	pages := 0
	for name, c := range map[string]struct {
		status      int
		body        string
		want        string
		unavailable bool
	}{
		"nothing":   {200, result + `<IsTruncated>false</IsTruncated></ListBucketResult>`, "there is nothing", false},
		"denied":    {403, `<Error><Code>AccessDenied</Code></Error>`, "grant s3:ListBucket and s3:GetObject", false},
		"no bucket": {404, `<Error><Code>NoSuchBucket</Code></Error>`, "there is no such bucket", false},
		"busy":      {503, `<Error><Code>SlowDown</Code></Error>`, "the endpoint is right", true},
		"cut":       {200, result + `<IsTruncated>false</IsTruncated><Contents><Key>docker/a`, "list docker/", false},
		"a loop":    {200, result + `<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken><Contents><Key>docker/</Key></Contents></ListBucketResult>`, "", false},
		"no end":    {200, result + `<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken><Contents><Key>docker/</Key></Contents></ListBucketResult>`, "does not end", true},
	} {
		f := folderOf(t, "", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			pages++
			fmt.Fprint(w, strings.ReplaceAll(c.body, "%d", fmt.Sprint(pages)))
		})
		names, err := list(f, "docker")
		if len(names) > 0 || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v; want %q", name, names, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: a secret is told: %v", name, err)
		}
		if errors.Is(err, ErrUnavailable) != c.unavailable {
			t.Errorf("%s: %v; want that it may pass: %t", name, err, c.unavailable)
		}
		if errors.Is(err, fs.ErrNotExist) != (name == "nothing") {
			t.Errorf("%s: %v; want that nothing is there only where that is so", name, err)
		}
	}
}

func TestFolder_reads(t *testing.T) {
	content := strings.Repeat("0123456789", 100)
	f := folderOf(t, "old", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bucket/old/a b+c" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
			return
		}
		w.Header().Set("ETag", `"tag"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		fmt.Fprint(w, content)
	})
	for most, want := range map[int64]string{5: content[:5], 1000: content, 5000: content} {
		if got, err := f.Read(t.Context(), "a b+c", most); err != nil || string(got) != want {
			t.Errorf("of at most %d bytes %d were read, %v; want %d", most, len(got), err, len(want))
		}
	}
	if _, err := f.Read(t.Context(), "none", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v, want that", err)
	}
	in, size, err := f.Open(t.Context(), "a b+c")
	if err != nil || size != 1000 {
		t.Fatalf("it has %d bytes, %v; want 1000", size, err)
	}
	defer in.Close()
}

func TestDuplicate_only_what_the_same_server_has(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"tag"`)
		fmt.Fprint(w, "content")
	}
	f := folderOf(t, "", answer)
	in, _, err := f.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	at := f.store.cfg.Endpoint
	for endpoint, want := range map[string]bool{at: true, at + "/": true, strings.Replace(at, "127.0.0.1", "localhost", 1): false, "": false} {
		s, err := Open(t.Context(), Config{Bucket: "here", Region: "us-east-1", Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Duplicate(in) != nil; got != want {
			t.Errorf("a store at %q copies: %t, want %t", endpoint, got, want)
		}
		if s.Duplicate(strings.NewReader("content")) != nil {
			t.Error("a reader of anything is copied, want that only objects are")
		}
	}
	untagged := folderOf(t, "", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "content") })
	loose, _, err := untagged.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer loose.Close()
	if untagged.store.Duplicate(loose) != nil {
		t.Error("an object without a tag is copied: who knows whether it is the one that was read")
	}
}

func TestOriginal_is_named_as_S3_wants_it(t *testing.T) {
	o := original{bucket: "old", key: "a b/+%/Ü?x=1#y"}
	if got, want := *o.source(), "old/a%20b/%2B%25/%C3%9C%3Fx=1%23y"; got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
}

func TestDenies_believes_only_what_it_can_read(t *testing.T) {
	d := digest.FromString("content")
	same, other, odd := "7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "AAAA-2"
	for told, want := range map[*string]bool{nil: false, &same: false, &other: true, &odd: false} {
		if got := denies(told, d); got != want {
			t.Errorf("denies(%v) is %t, want %t", told, got, want)
		}
	}
	if denies(&other, digest.SHA512.FromString("content")) {
		t.Error("a sha256 says nothing of a sha512")
	}
}
