"""What answers where the REST interface has no path."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from webmanager.api.errors import plain


@csrf_exempt
def no_such_path(request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
    return plain(404, f"There is no {request.path_info}; the paths are described at /api/schema.")
