"""One entry of the guestbook."""
from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=80)
    text = models.TextField()
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written_at", "-id"]
        verbose_name_plural = "entries"

    def __str__(self):
        return self.name
