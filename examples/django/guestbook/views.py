"""A form with a session, a plain view, an upload and a streaming response."""
import hashlib

from django import forms
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]


def book(request):
    """Lists the entries, and writes one. The session counts this visitor's visits."""
    if request.method == "POST":
        form = EntryForm(request.POST)
        if form.is_valid():
            form.save()
            return redirect("book")
    else:
        form = EntryForm()
    request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"form": form, "entries": Entry.objects.all()[:50], "visits": request.session["visits"]}
    return render(request, "guestbook/book.html", context)


def hello(request):
    """Touches no database: what a view costs by itself."""
    return HttpResponse("Hello, %s!" % request.GET.get("name", "world"), content_type="text/plain")


def upload(request):
    """A form with a file; answers what arrived."""
    if request.method != "POST":
        return render(request, "guestbook/upload.html")
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "bytes": file.size, "sha256": digest.hexdigest()})


def export(request):
    """All entries as CSV, row by row; `?repeat=` makes it long."""
    repeat = int(request.GET.get("repeat", 1))

    def rows():
        yield "number,name,text\r\n"
        for name, text in Entry.objects.values_list("name", "text").iterator():
            for number in range(repeat):
                yield "%d,%s,%s\r\n" % (number, name, text)

    return StreamingHttpResponse(rows(), content_type="text/csv")
